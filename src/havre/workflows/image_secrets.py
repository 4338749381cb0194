"""Which images hold secrets: looked up once per image, since an image never changes; only names are kept."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from havre.checks.baked import holds_secret
from havre.engines.base import Engine, ImageReading
from havre.errors import HavreError
from havre.host.files import write_atomic
from havre.model.observed import Observed
from havre.model.project import Project

MOST_IMAGES = 500


def find_secrets(engine: Engine, project: Project, observed: Observed, cache: Path) -> tuple[tuple[str, str], ...]:
    """(service, name) of every secret in the image of a service, of the images that are here."""
    if not isinstance(engine, ImageReading):
        return ()
    known = _read(cache)
    before = len(known)
    found = ((service.name, observed.image(service.image)) for service in project.services)
    images = {service: image.id for service, image in found if image is not None}
    for image in dict.fromkeys(images.values()):
        if image not in known:
            with contextlib.suppress(HavreError):  # what cannot be looked at is not judged
                held = [name for name, value in engine.settings_in(image) if holds_secret(name, value)]
                known[image] = sorted(set(held))
    if len(known) != before:
        write_atomic(cache, msgspec.json.encode(dict(list(known.items())[-MOST_IMAGES:])))
    return tuple((service, name) for service, image in images.items() for name in known.get(image, ()))


def _read(cache: Path) -> dict[str, list[str]]:
    try:
        return msgspec.json.decode(cache.read_bytes(), type=dict[str, list[str]])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}
