"""A stream reaches a program of somebody else's together with Havre's verdict about it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from havre.backups import pipe
from havre.backups.feeding import Feed, ReceiverGoneError, feed


def receiver(command: tuple[str, ...]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def send(one: Feed, *pieces: bytes, patience: float = 20) -> None:
    with one.sink(nothing, lambda: False, patience=patience) as sink:
        for piece in pieces:
            sink.write(piece)


def broken(one: Feed) -> None:
    with one.sink(nothing, lambda: False, patience=20) as sink:
        sink.write(b"half")
        raise KeyError


def nothing(_: bytes) -> None:
    return None


def test_an_approved_stream_arrives_whole_and_ends_with_0() -> None:
    seen: list[bytes] = []
    with feed() as one:
        program = receiver(one.command)
        with one.sink(seen.append, lambda: False, patience=20) as sink:
            sink.write(b"abc")
            sink.write(b"def")
            one.approve()
        output, _ = program.communicate(timeout=20)
    assert (output, program.returncode, sink.size, seen) == (b"abcdef", 0, 6, [b"abc", b"def"])


def test_the_sources_exit_code_becomes_the_receivers() -> None:
    with feed() as one:
        program = receiver(one.command)
        with one.sink(nothing, lambda: False, patience=20) as sink:
            sink.write(b"half")
            one.refuse(3)
        program.communicate(timeout=20)
    assert program.returncode == 3


def test_without_a_verdict_the_receiver_fails() -> None:
    with feed() as one:
        program = receiver(one.command)
        with pytest.raises(KeyError):
            broken(one)
        program.communicate(timeout=20)
    assert program.returncode == pipe.NO_VERDICT


def test_when_havre_is_killed_the_receiver_fails(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from havre.backups.feeding import Feed\n"
        f"one = Feed(Path({str(tmp_path)!r})); print('|'.join(one.command), flush=True)\n"
        "with one.sink(lambda _: None, lambda: False, patience=20) as sink:\n"
        "    sink.write(b'half'); print('sent', flush=True); time.sleep(60)\n"
    )
    havre = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert havre.stdout is not None
    program = receiver(tuple(havre.stdout.readline().strip().split("|")))
    assert havre.stdout.readline() == "sent\n"
    havre.send_signal(signal.SIGKILL)
    havre.communicate()
    output, _ = program.communicate(timeout=20)
    assert (output, program.returncode) == (b"half", pipe.NO_VERDICT)


def test_a_receiver_that_dies_or_never_comes_is_noticed(tmp_path: Path) -> None:
    with feed() as one:
        program = receiver(one.command)
        threading.Timer(0.3, program.kill).start()
        with pytest.raises(ReceiverGoneError):
            send(one, *[bytes(100_000)] * 1000)
        program.communicate()
    (tmp_path / "other").mkdir()
    unused = Feed(tmp_path / "other")
    with pytest.raises(ReceiverGoneError), unused.sink(nothing, lambda: True, patience=20) as sink:
        sink.write(b"for nobody")
    with pytest.raises(ReceiverGoneError), unused.sink(nothing, lambda: True, patience=20):
        pass  # a stream without a byte
    unused.close()


def test_whoever_makes_the_stream_begins_before_the_receiver_is_there() -> None:
    with feed() as one:
        with one.sink(nothing, lambda: False, patience=20) as sink:
            program = receiver(one.command)
            sink.write(b"late")
            one.approve()
        assert (program.communicate()[0], program.returncode) == (b"late", 0)


def test_a_stream_without_a_byte_arrives_and_ends() -> None:
    with feed() as one:
        program = receiver(one.command)
        with one.sink(nothing, lambda: False, patience=20):
            one.approve()
        assert (program.communicate()[0], program.returncode) == (b"", 0)


def test_a_receiver_that_stands_still_is_given_up() -> None:
    with feed() as one:
        program = receiver(one.command)
        with pytest.raises(ReceiverGoneError):
            send(one, *[bytes(100_000)] * 1000, patience=0.5)  # nobody reads what the receiver passes on
        program.kill()
        program.communicate()
