"""Which programs of health checks are in their images: looked up once per image, since an image never changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from havre.checks.case import HasTool
from havre.checks.health import programs
from havre.engines.base import Engine, ImageLook
from havre.errors import HavreError
from havre.host.files import write_atomic
from havre.model.observed import Observed
from havre.model.project import Project, Service

STAND_INS = ("curl", "wget", "python3", "python", "node")
"""Looked for as well, so that a hint can name what the image does have."""

MOST_IMAGES = 500
Found = dict[str, dict[str, bool]]


def find_programs(engine: Engine, project: Project, observed: Observed, cache: Path) -> HasTool:
    """A lookup for checks: None where the image is not here yet, or the engine has no images."""
    if not isinstance(engine, ImageLook):
        return lambda _service, _program: None
    known = _read(cache)
    wanted = _wanted(project, observed)
    missing = {image: [one for one in names if one not in known.get(image, {})] for image, names in wanted.items()}
    for image, names in missing.items():
        if names:
            known.setdefault(image, {}).update(_look(engine, image, names))
    if any(missing.values()):
        newest = dict(list(known.items())[-MOST_IMAGES:])
        write_atomic(cache, msgspec.json.encode(newest))

    def has_tool(service: Service, program: str) -> bool | None:
        image = observed.image(service.image)
        return known.get(image.id, {}).get(program) if image else None

    return has_tool


def _wanted(project: Project, observed: Observed) -> Mapping[str, Iterable[str]]:
    wanted: dict[str, dict[str, None]] = {}
    for service in project.services:
        image = observed.image(service.image)
        needed = [one for one in programs(service) if "/" not in one or one.startswith("/")]
        if image and needed:
            wanted.setdefault(image.id, {}).update(dict.fromkeys([*needed, *STAND_INS]))
    return wanted


def _look(engine: ImageLook, image: str, names: list[str]) -> Mapping[str, bool]:
    """What cannot be looked at is not judged: a check must not fail because a look did."""
    try:
        return engine.programs_in(image, names)
    except HavreError:
        return {}


def _read(cache: Path) -> Found:
    try:
        return msgspec.json.decode(cache.read_bytes(), type=Found)
    except (FileNotFoundError, msgspec.DecodeError):
        return {}
