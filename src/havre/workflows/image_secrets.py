"""Which images hold secrets: looked up once per image, since an image never changes; values are not kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from havre.checks.baked import holds_secret
from havre.checks.written import secrets_in_steps
from havre.engines.base import Engine, ImageReading
from havre.errors import HavreError
from havre.host.files import write_atomic
from havre.model.observed import Observed
from havre.model.project import Project

MOST_IMAGES = 500


def find_secrets(engine: Engine, project: Project, observed: Observed, cache: Path) -> tuple[tuple[str, str], ...]:
    """(service, what it is) of every secret in the image of a service, of the images that are here."""
    if not isinstance(engine, ImageReading):
        return ()
    known = _read(cache)
    before = len(known)
    found = ((service.name, observed.image(service.image)) for service in project.services)
    images = {service: image.id for service, image in found if image is not None}
    for image in dict.fromkeys(images.values()):
        if image not in known:
            with contextlib.suppress(HavreError):  # what cannot be looked at is not judged
                known[image] = sorted(set(_held(engine, image)))
    if len(known) != before:
        write_atomic(cache, msgspec.json.encode(dict(list(known.items())[-MOST_IMAGES:])))
    return tuple((service, name) for service, image in images.items() for name in known.get(image, ()))


def _held(engine: ImageReading, image: str) -> Iterator[str]:
    """What it is, in words; values are not kept."""
    for name, value in engine.settings_in(image):
        if holds_secret(name, value):
            yield f"the value of {name}"
    yield from secrets_in_steps(engine.steps_of(image))


def _read(cache: Path) -> dict[str, list[str]]:
    try:
        return msgspec.json.decode(cache.read_bytes(), type=dict[str, list[str]])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}
