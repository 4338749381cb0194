"""Feed a program that Havre did not write with a stream that Havre makes, and tell it whether the stream is whole."""

from __future__ import annotations

import contextlib
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from havre.backups import pipe
from havre.host import clock
from havre.host.files import write_atomic

_POLL = 0.1

Look = Callable[[bytes], None]


class Writable(Protocol):
    """What a stream is written to."""

    def write(self, piece: bytes, /) -> int:
        """Take a piece."""
        ...


class ReceiverGoneError(Exception):
    """The program that was fed ended before the stream did; its own exit code says why."""


class Sink:
    """Where a stream is written: each piece is looked at, counted and sent on, once the receiver is there."""

    def __init__(self, connect: Callable[[], socket.socket], look: Look) -> None:
        self._connect = connect
        self._connection: socket.socket | None = None
        self._look = look
        self.size = 0

    def connected(self) -> socket.socket:
        """The way to the receiver, which is waited for the first time; raises ReceiverGoneError when it never comes."""
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def write(self, piece: bytes) -> int:
        """Send a piece; raises ReceiverGoneError when nobody takes it any more."""
        self._look(piece)
        connection = self.connected()
        try:
            connection.sendall(piece)
        except OSError as error:
            raise ReceiverGoneError from error
        self.size += len(piece)
        return len(piece)


class Feed:
    """One stream for one receiver, which must run `command` to get it."""

    def __init__(self, directory: Path) -> None:
        self._verdict = directory / "verdict"
        self._path = directory / "feed"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._path))
        self._listener.listen(1)
        self._listener.settimeout(_POLL)

    @property
    def command(self) -> tuple[str, ...]:
        """The program that passes the stream on, and Havre's verdict about it as its exit code."""
        return (sys.executable, "-I", "-S", pipe.__file__, str(self._path), str(self._verdict))

    @contextlib.contextmanager
    def sink(self, look: Look, has_ended: Callable[[], bool], *, patience: float) -> Iterator[Sink]:
        """Where to write. Unless `approve` was called before the block ends, the receiver takes it for a failure.

        Whoever makes the stream may begin before the receiver is there: a repository takes a moment to open. Raises
        ReceiverGoneError when the receiver ends, or takes nothing for `patience` seconds.
        """
        with contextlib.ExitStack() as open_ones:

            def connect() -> socket.socket:
                connection = open_ones.enter_context(self._accept(has_ended, clock.elapsed() + patience))
                connection.settimeout(patience)
                return connection

            sink = Sink(connect, look)
            yield sink
            sink.connected()  # it waits for the end of a stream without a byte, too

    def approve(self) -> None:
        """The stream is whole: to be called after its last byte."""
        write_atomic(self._verdict, "0")

    def refuse(self, code: int) -> None:
        """The stream is not whole, whatever came of it."""
        write_atomic(self._verdict, str(code or 1))

    def close(self) -> None:
        """Nobody is served any more."""
        self._listener.close()

    def _accept(self, has_ended: Callable[[], bool], deadline: float) -> socket.socket:
        while True:
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                if has_ended() or clock.elapsed() >= deadline:
                    raise ReceiverGoneError from None
            else:
                return connection


@contextlib.contextmanager
def feed() -> Iterator[Feed]:
    """A feed in a directory that nobody else may enter, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="havre-feed-") as directory:
        one = Feed(Path(directory))
        with contextlib.closing(one):
            yield one
