"""A look into real images finds what is there and leaves nothing behind (F12)."""

from __future__ import annotations

import pytest

from havre.engines.base import ImageLook
from havre.engines.docker.engine import DockerEngine

pytestmark = pytest.mark.docker


def containers(engine: DockerEngine) -> int:
    query = {"all": True, "filters": {"label": ["havre.look"]}}
    return len(engine.client.get("/containers/json", query, doing="count"))


@pytest.mark.parametrize(
    ("reference", "there", "absent"),
    [
        ("redis:7-alpine", ["redis-cli", "wget", "sh", "/bin/sh"], ["curl", "/usr/bin/nothing"]),
        ("python:3.11-slim", ["python", "python3"], ["curl", "wget"]),
        ("postgres:15-alpine", ["pg_isready"], ["redis-cli"]),
    ],
)
def test_programs_are_found_where_the_image_has_them(reference: str, there: list[str], absent: list[str]) -> None:
    engine = DockerEngine()
    assert isinstance(engine, ImageLook)
    (image,) = engine.images.present([reference])
    before = containers(engine)
    found = engine.programs_in(image.id, [*there, *absent])
    assert [name for name, is_there in found.items() if is_there] == there
    assert [name for name, is_there in found.items() if not is_there] == absent
    assert containers(engine) == before
