"""Staging on one server, production on another: the images travel by ssh or as an archive, and are the same."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import HAVRE, environment
from other_server import HOST, OtherServer, other_server

pytestmark = pytest.mark.docker

COMPOSE = """\
services:
  worker:
    build: {context: app}
    network_mode: none
    mem_limit: 32m
    stop_grace_period: 1s
    healthcheck: {test: [CMD, test, -e, /version], interval: 1s}
"""
PROGRAM = str(Path(sys.executable).with_name("havre"))


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherServer]:
    """The staging server, with the base image."""
    with other_server(tmp_path_factory.mktemp("other") / "server") as server:
        images = subprocess.run(["docker", "save", "busybox:latest"], capture_output=True, check=True).stdout
        subprocess.run(["docker", "load"], input=images, env=server.inside, capture_output=True, check=True)
        yield server


@pytest.fixture
def app(tmp_path: Path, there: OtherServer) -> Iterator[Path]:
    """The same files on both servers, deployed to staging there."""
    name = f"two{uuid.uuid4().hex[:6]}"
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text('FROM busybox\nCOPY version /version\nCMD ["sleep", "3600"]\n')
    (tmp_path / "app" / "version").write_text(uuid.uuid4().hex)
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "havre.yaml").write_text(f"app: {name}\nenvironments: {{staging: {{}}}}\n")
    _havre(tmp_path, there.inside, "deploy", "-y", "-e", "staging")
    yield tmp_path
    _havre(tmp_path, there.inside, "down", "-y", "-e", "staging")
    here = environment(tmp_path)
    _havre(tmp_path, here, "down", "-y")
    left = subprocess.run(["docker", "images", "-q", f"{name}*/*"], capture_output=True, text=True, check=True)
    if left.stdout.split():
        subprocess.run(["docker", "rmi", "-f", *set(left.stdout.split())], capture_output=True, check=False)


def _havre(directory: Path, variables: dict[str, str], *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [*HAVRE, *arguments], cwd=directory, env=variables, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def _image(directory: Path, variables: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [*HAVRE, "releases", "--json", *arguments], cwd=directory, env=variables, capture_output=True, check=True
    )
    return str(json.loads(done.stdout)[0]["images"][0]["image_id"])


def test_images_travel_by_ssh_and_are_the_same(app: Path, there: OtherServer) -> None:
    here = {**environment(app), "PATH": there.path}
    refused = _havre(app, here, "promote", "staging", "--release", "7", "--from", HOST, "--remote-havre", PROGRAM,
                     "-y", code=1)  # fmt: skip
    assert "did not hand over the release" in refused
    assert "release 7 never served" in refused, "the other server's own words"

    said = _havre(app, here, "promote", "staging", "--from", HOST, "--remote-havre", PROGRAM, "-y")
    assert "-staging, release 1" in said
    staged = _image(app, there.inside, "-e", "staging")
    assert _image(app, here) == staged
    version = _havre(app, here, "exec", "worker", "cat", "/version")
    assert (app / "app" / "version").read_text() in version


def test_an_archive_carries_a_release_and_says_so_when_it_is_none(app: Path, there: OtherServer) -> None:
    here = environment(app)
    archive = app / "staging.tar"
    with archive.open("wb") as sink:
        subprocess.run(
            [*HAVRE, "export", "release", "-e", "staging"], cwd=app, env=there.inside, stdout=sink, check=True
        )
    listed = subprocess.run(["tar", "-tf", archive], capture_output=True, text=True, check=True).stdout
    assert "havre-release.json" in listed
    assert "manifest.json" in listed, "it is a tar like any other"

    (app / "cut.tar").write_bytes(archive.read_bytes()[:700])
    assert "cut short" in _havre(app, here, "promote", "staging", "--from", "cut.tar", "-y", code=2)
    _havre(app, here, "promote", "staging", "--from", "staging.tar", "-y")
    assert _image(app, here) == _image(app, there.inside, "-e", "staging")
