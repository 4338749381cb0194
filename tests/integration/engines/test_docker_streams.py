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

from havre.engines.docker import pipes
from havre.errors import FailedError
from havre.model.backup import Streamed

pytestmark = pytest.mark.docker


@pytest.fixture(params=["past the engine", "through the engine"])
def web(request: pytest.FixtureRequest, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A running replica, fed either way."""
    if request.param == "through the engine":
        monkeypatch.setattr(pipes, "is_possible", lambda _client: False)
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


class Damaged(io.RawIOBase):
    """Input that cannot be read to its end."""

    def read(self, _size: int = -1, /) -> bytes:
        raise RuntimeError("damaged")


def test_input_that_cannot_be_read_ends_the_command_and_is_told(web: Stage) -> None:
    with pytest.raises(RuntimeError, match="damaged"):
        stream(web, "cat", Damaged(), timeout=5)


def test_children_of_a_shell_read_its_input(web: Stage) -> None:
    _, output = stream(web, "(head -c 4; cat) | wc -c", io.BytesIO(bytes(3_000_000)))
    assert int(output) == 3_000_000


def test_a_command_that_says_nothing_but_goes_on_reading_is_not_given_up(web: Stage) -> None:
    done, output = stream(web, "wc -l", Dripping(6, 0.4), timeout=1.0)
    assert (done.exit_code, output.strip()) == (0, b"6")


def test_a_command_that_neither_says_nor_takes_anything_is_given_up(web: Stage) -> None:
    with pytest.raises(FailedError, match="`sh` said nothing for 1 s"):
        stream(web, "sleep 20", io.BytesIO(bytes(8_000_000)), timeout=1.0)


def collect(stage: Stage, *command: str, timeout: float = 30, **how: str) -> tuple[Streamed, bytes]:
    output = io.BytesIO()
    done = stage.engine.stream(
        stage.instance, "web", 1, command, stdout=output, timeout=timeout, bulk=True, **how  # type: ignore[arg-type]
    )  # fmt: skip
    return done, output.getvalue()


def test_all_output_arrives_and_so_do_complaints_and_exit_code(web: Stage) -> None:
    shell = "head -c 20000000 /dev/zero | tr '\\0' x; echo why >&2; printf end; exit 7"
    done, output = collect(web, "sh", "-c", shell)
    assert output == b"x" * 20_000_000 + b"end"
    assert (done.exit_code, done.complaints) == (7, "why\n")


@pytest.mark.parametrize(("command", "said"), [("true", b""), ("pwd", b"/\n"), ("cat", b"")])
def test_a_command_of_few_words_or_none_that_gets_no_input(web: Stage, command: str, said: bytes) -> None:
    assert collect(web, command) == (Streamed(exit_code=0, complaints=""), said)


def test_output_of_another_user_arrives(web: Stage) -> None:
    done, output = collect(web, "sh", "-c", "id -u; head -c 3000000 /dev/zero", user="405")
    assert (done.exit_code, output) == (0, b"405\n" + bytes(3_000_000))


def test_a_command_that_is_not_there_is_told(web: Stage) -> None:
    done, output = collect(web, "no-such-program")
    assert done.exit_code in (126, 127)
    assert "no-such-program" in done.complaints + output.decode()  # the engine's own words come as output


def test_a_replica_without_a_shell_streams_all_the_same(web: Stage) -> None:
    web.inside("cp /bin/busybox /bin/cat2; mv /bin/sh /bin/sh.away")
    done, output = collect(web, "/bin/busybox", "head", "-c", "3000000", "/dev/zero")
    assert (done.exit_code, output) == (0, bytes(3_000_000))


class FullError(Exception):
    """The disk of whoever takes the output is full."""


class Small(io.BytesIO):
    """Takes a megabyte, then no more."""

    def write(self, piece: object, /) -> int:
        if self.tell() > 1_000_000:
            raise FullError
        return super().write(piece)  # type: ignore[arg-type]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may open the pipes of others")
def test_a_command_whose_output_nobody_takes_ends(stage: Stage) -> None:
    stage.start(stage.service())
    with pytest.raises(FullError):
        stage.engine.stream(stage.instance, "web", 1, ("yes", "unique-word"), stdout=Small(), bulk=True)
    deadline = time.monotonic() + 5
    while "unique-word" in stage.inside("ps | grep -v grep"):
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.1)
    assert stage.inside("ls /dev/shm") == ""


def test_a_command_that_falls_silent_is_given_up_and_one_that_pauses_is_not(web: Stage) -> None:
    done, output = collect(web, "sh", "-c", "for i in 1 2 3 4; do sleep 0.5; echo $i; done", timeout=1.5)
    assert (done.exit_code, output) == (0, b"1\n2\n3\n4\n")
    with pytest.raises(FailedError, match="`sh` said nothing for 1 s"):
        collect(web, "sh", "-c", "echo begun; sleep 20", timeout=1.0)


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
        pipe = pipes.input_of(client, container, run, doing="look")
        assert pipe is not None
        pipe.close()
        assert pipes.input_of(client, "f" * 64, run, doing="look") is None
    own = "mkfifo /tmp/own; exec <>/tmp/own; : > /tmp/ready; sleep 20"
    with started(stage, own) as (container, run):
        while stage.inside("ls /tmp/ready 2>/dev/null") == "":
            time.sleep(0.05)
        assert pipes.input_of(client, container, run, doing="look") is None
    with started(stage, "exit 3") as (container, run):
        time.sleep(0.5)
        assert pipes.input_of(client, container, run, doing="look") is None
