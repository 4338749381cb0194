"""Which programs of health checks and commands are in their images: looked up once, since an image never changes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from havre.checks.case import HasTool
from havre.checks.commands import interpreter_of
from havre.checks.health import programs
from havre.engines.base import Engine, ImageLook
from havre.errors import HavreError
from havre.host.files import write_atomic
from havre.model.observed import Observed
from havre.model.project import Project, Service

STAND_INS = ("curl", "wget", "python3", "python", "node", "sh")
"""Looked for where something is missing, so that a hint can name what the image does have."""

MOST_IMAGES = 500
Found = dict[str, dict[str, bool]]


def find_programs(engine: Engine, project: Project, observed: Observed, cache: Path) -> HasTool:
    """A lookup for checks: None where the image is not here yet, or the engine has no images."""
    if not isinstance(engine, ImageLook):
        return lambda _service, _program: None
    known = _read(cache)
    before = {image: dict(found) for image, found in known.items()}
    for image, needed in _wanted(project, observed).items():
        found = known.setdefault(image, {})
        _look(engine, image, needed, found)
        if not all(found.get(program, True) for program in needed):
            _look(engine, image, STAND_INS, found)
    if known != before:
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
        started = interpreter_of(service, image) if image else ""
        needed = [one for one in (*programs(service), started) if one and ("/" not in one or one.startswith("/"))]
        if image and needed:
            wanted.setdefault(image.id, {}).update(dict.fromkeys(needed))
    return wanted


def _look(engine: ImageLook, image: str, programs: Iterable[str], found: dict[str, bool]) -> None:
    """Add what is not known yet; what cannot be looked at is not judged, so that no check fails for it."""
    missing = [program for program in programs if program not in found]
    if missing:
        with contextlib.suppress(HavreError):
            found.update(engine.programs_in(image, missing))


def _read(cache: Path) -> Found:
    try:
        return msgspec.json.decode(cache.read_bytes(), type=Found)
    except (FileNotFoundError, msgspec.DecodeError):
        return {}
