"""Pulling from a real registry that wants a password."""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from docker_stage import Stage

from havre.engines.docker.engine import DockerEngine
from havre.errors import FailedError
from havre.model.plan import PullImage

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="the package docker-registry is not installed"),
]

BOB = {"username": "bob", "password": "s3cret"}
HTPASSWD = "bob:$2b$04$2DXaioA2RTUevw3i5eb2feiiCiSQAqYgWIlaJMV1j8kQvvsLiiNTG\n"
CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: test, path: {passwords}}}}}
log: {{level: error}}
"""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """`127.0.0.1:<port>` of a fresh registry."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    config = CONFIG.format(root=tmp_path / "storage", port=port, passwords=tmp_path / "htpasswd")
    (tmp_path / "registry.yml").write_text(config)
    command = ["docker-registry", "serve", str(tmp_path / "registry.yml")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for_port(port)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "the registry did not start"
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def pushed(stage: Stage, registry: str) -> Iterator[str]:
    """An image that is in the registry and not on the engine."""
    client, name = stage.engine.client, f"{registry}/shop/web"
    client.post("/images/busybox:latest/tag", None, {"repo": name, "tag": "2"}, doing="tag")
    auth = base64.urlsafe_b64encode(msgspec.json.encode(BOB)).decode()
    path, headers = f"/images/{name}/push", {"X-Registry-Auth": auth}
    with client.stream("POST", path, {"tag": "2"}, doing="push", headers=headers) as stream:
        messages = list(stream.messages())
    assert not [message for message in messages if message.get("error")], messages
    client.delete(f"/images/{name}:2", doing="remove")
    yield f"{name}:2"
    client.delete(f"/images/{name}:2", doing="remove")


def engine_with_login(directory: Path, registry: str, password: str) -> DockerEngine:
    directory.mkdir()
    auth = base64.b64encode(f"bob:{password}".encode()).decode()
    (directory / "config.json").write_bytes(msgspec.json.encode({"auths": {registry: {"auth": auth}}}))
    return DockerEngine(config=directory)


def test_an_image_is_pulled_with_the_login_and_pinned_by_its_digest(stage: Stage, pushed: str, tmp_path: Path) -> None:
    engine = engine_with_login(tmp_path / "login", pushed.partition("/")[0], "s3cret")
    told: list[str] = []

    engine.perform(PullImage(reference=pushed), stage.context(), progress=told.append)

    image = engine.observe(stage.instance, references=[pushed]).image(pushed)
    assert image is not None
    assert image.digest is not None
    assert image.digest.startswith("sha256:")
    assert told[-1] == f"{pushed}: Downloaded newer image for {pushed}"
    name = pushed.rpartition(":")[0]
    by_digest = f"{name}@{image.digest}"
    engine.perform(PullImage(reference=by_digest), stage.context())
    assert [found.id for found in engine.observe(stage.instance, references=[by_digest]).images] == [image.id]


def test_a_wrong_password_is_told_as_such(stage: Stage, pushed: str, tmp_path: Path) -> None:
    engine = engine_with_login(tmp_path / "login", pushed.partition("/")[0], "wrong")

    with pytest.raises(FailedError) as failure:
        engine.perform(PullImage(reference=pushed), stage.context())

    assert failure.value.problems[0].code == "registry-login"
    assert "docker login" in failure.value.problems[0].hint


def test_a_tag_that_is_not_there_is_told_as_such(stage: Stage, pushed: str, tmp_path: Path) -> None:
    engine = engine_with_login(tmp_path / "login", pushed.partition("/")[0], "s3cret")

    with pytest.raises(FailedError) as failure:
        engine.perform(PullImage(reference=f"{pushed}9"), stage.context())

    assert failure.value.problems[0].code == "image-missing"
