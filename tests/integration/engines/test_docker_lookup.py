"""A look into real images finds what is there and leaves nothing behind (F12)."""

from __future__ import annotations

from pathlib import Path

import pytest
from docker_stage import Stage

from havre.engines.base import ImageDetails, ImageLook
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


def test_gpu_libraries_and_the_layer_that_brought_them_are_found(stage: Stage, tmp_path: Path) -> None:
    packages = "/opt/venv/lib/python3.11/site-packages"
    (tmp_path / "libcublas.so.12").write_bytes(b"x" * 6_000_000)
    (tmp_path / "Dockerfile").write_text(
        f"FROM alpine\nARG TOKEN\nENV PATH=/opt/venv/bin:$PATH\nCOPY libcublas.so.12 {packages}/nvidia/cublas/lib/\n"
    )
    reference = stage.build(tmp_path, args=(("TOKEN", "kx8812-secret"),))
    (image,) = stage.engine.images.present([reference])
    assert isinstance(stage.engine, ImageDetails)
    layers, libraries = stage.engine.look_into(image.id)
    assert libraries == (f"{packages}/nvidia",)
    assert any(size >= 6_000_000 and command.startswith("COPY ") for size, command in layers)
    assert "kx8812-secret" not in str(layers)
    (plain,) = stage.engine.images.present(["alpine:latest"])
    assert stage.engine.look_into(plain.id)[1] == ()
