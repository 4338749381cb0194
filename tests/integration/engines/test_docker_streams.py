"""What a command in a container reads and writes, past a real Docker Engine and through it."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from docker_stage import Stage

from havre.engines.docker import direct_input
from havre.errors import FailedError
from havre.model.backup import Streamed

pytestmark = pytest.mark.docker


@pytest.fixture(params=["past the engine", "through the engine"])
def web(request: pytest.FixtureRequest, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A running replica, fed either way."""
    if request.param == "through the engine":
        monkeypatch.setattr(direct_input, "is_possible", lambda _client: False)
    stage.start(stage.service())
    return stage


def stream(stage: Stage, shell: str, source: io.RawIOBase | io.BytesIO, timeout: float = 30) -> tuple[Streamed, bytes]:
    output = io.BytesIO()
    done = stage.engine.stream(
        stage.instance, "web", 1, ("sh", "-c", shell), stdin=source, stdout=output, timeout=timeout  # type: ignore[arg-type]
    )  # fmt: skip
    return done, output.getvalue()


class Dripping(io.RawIOBase):
    """Input that comes in pieces, with a pause before each."""

    def __init__(self, pieces: int, pause: float) -> None:
        self.pieces, self.pause = pieces, pause

    def read(self, _size: int = -1, /) -> bytes:
        if self.pieces == 0:
            return b""
        self.pieces -= 1
        time.sleep(self.pause)
        return b"drop\n"


def test_all_input_arrives_and_its_end_too(web: Stage) -> None:
    content = os.urandom(20_000_000)
    done, output = stream(web, "sha256sum; echo heard >&2", io.BytesIO(content))
    assert output.decode().split()[0] == hashlib.sha256(content).hexdigest()
    assert (done.exit_code, done.complaints) == (0, "heard\n")


def test_children_of_a_shell_read_its_input(web: Stage) -> None:
    _, output = stream(web, "(head -c 4; cat) | wc -c", io.BytesIO(bytes(3_000_000)))
    assert int(output) == 3_000_000


def test_a_command_that_says_nothing_but_goes_on_reading_is_not_given_up(web: Stage) -> None:
    done, output = stream(web, "wc -l", Dripping(6, 0.4), timeout=1.0)
    assert (done.exit_code, output.strip()) == (0, b"6")


def test_a_command_that_neither_says_nor_takes_anything_is_given_up(web: Stage) -> None:
    with pytest.raises(FailedError, match="`sh` said nothing for 1 s"):
        stream(web, "sleep 20", io.BytesIO(bytes(8_000_000)), timeout=1.0)


@contextmanager
def started(stage: Stage, shell: str) -> Iterator[tuple[str, str]]:
    """(container, command) of a command under way whose input waits."""
    client, container = stage.engine.client, stage.inspect()["Id"]
    body = {"AttachStdin": True, "AttachStdout": True, "Cmd": ["sh", "-c", shell]}
    run = client.post(f"/containers/{container}/exec", body, doing="prepare").json()["Id"]
    with client.hijack(f"/exec/{run}/start", {"Detach": False, "Tty": False}, doing="start"):
        yield container, run


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may open the pipes of others")
def test_only_the_pipe_that_the_engine_made_is_opened(stage: Stage) -> None:
    stage.start(stage.service())
    client = stage.engine.client
    with started(stage, "cat >/dev/null") as (container, run):
        pipe = direct_input.opened(client, container, run, doing="look")
        assert pipe is not None
        pipe.close()
        assert direct_input.opened(client, "f" * 64, run, doing="look") is None
    own = "mkfifo /tmp/own; exec <>/tmp/own; : > /tmp/ready; sleep 20"
    with started(stage, own) as (container, run):
        while stage.inside("ls /tmp/ready 2>/dev/null") == "":
            time.sleep(0.05)
        assert direct_input.opened(client, container, run, doing="look") is None
    with started(stage, "exit 3") as (container, run):
        time.sleep(0.5)
        assert direct_input.opened(client, container, run, doing="look") is None
