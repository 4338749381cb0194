"""A look into real images finds what is there and leaves nothing behind (F12)."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

import pytest
from docker_stage import Stage

from havre.checks.baked import holds_secret
from havre.checks.written import secrets_in_steps
from havre.engines.base import ImageDetails, ImageLook
from havre.engines.docker.engine import DockerEngine
from havre.model.observed import Observed
from havre.model.project import Project, Service
from havre.workflows.image_secrets import find_secrets

pytestmark = pytest.mark.docker


def containers(engine: DockerEngine) -> int:
    query = {"all": True, "filters": {"label": ["havre.look=programs"]}}
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


def test_secrets_of_an_image_are_found_wherever_its_history_shows_them(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(_LEAKY)
    tag = f"havre-lookup-{uuid.uuid4().hex[:8]}"
    build = ["docker", "build", "-q", "-t", tag, "--build-arg", "NPM_TOKEN=kx9f2kd8sl2q", str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True)
    try:
        engine = DockerEngine()
        (image,) = engine.images.present([tag])
        found = dict(engine.settings_in(image.id))
        assert (found["API_SECRET"], found["NPM_TOKEN"]) == ("kx9f2kd8sl2p", "kx9f2kd8sl2q")
        service = Service(name="web", image=tag)
        observed = Observed(instance="x", images=(image,))
        cache = tmp_path / "cache.json"
        held = find_secrets(engine, Project(name="x", services=(service,)), observed, cache)
        assert {what for _, what in held} == {
            "the value of API_SECRET", "the value of NPM_TOKEN", "the value of DEPLOY_PASSWORD", "a GitHub token",
            "a password in a URL", "the token of an Authorization header", "the value of service.apikey",
        }  # fmt: skip
        assert "kx9f2" not in cache.read_text(), "names alone are kept"
    finally:
        subprocess.run(["docker", "rmi", "-f", tag], check=True, capture_output=True)


_LEAKY = """\
FROM busybox
ARG NPM_TOKEN
ENV API_SECRET=kx9f2kd8sl2p
LABEL service.apikey=kx9f2kd8sl2r
RUN true
RUN export DEPLOY_PASSWORD=kx9f2kd8sl2s && true
RUN echo git clone https://ana:kx9f2kd8sl2t@git.acme.io/x.git
RUN echo curl -H "Authorization: Bearer kx9f2kd8sl2u" https://api.example.com
RUN echo ghp_kx9f2kd8sl2vkx9f2kd8sl2vkx9f2kd8sl2v
"""


@pytest.mark.parametrize("reference", ["python:3.11-slim", "postgres:15-alpine", "nginx:alpine", "redis:7-alpine"])
def test_ordinary_images_hold_no_secret(reference: str) -> None:
    engine = DockerEngine()
    (image,) = engine.images.present([reference])
    assert [name for name, value in engine.settings_in(image.id) if holds_secret(name, value)] == []
    assert secrets_in_steps(engine.steps_of(image.id)) == ()
