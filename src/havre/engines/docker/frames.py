"""The engine's output streams taken apart: frames of stdout and stderr, then lines with their times; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from havre.engines.docker.snapshot import seconds

_HEADER = 8
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+Z")
_STREAMS = {0: "stdin", 1: "stdout", 2: "stderr"}


def demultiplex(chunks: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """(stream, payload) of a multiplexed stream, as frames become complete; a cut-off last frame is still given."""
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= _HEADER:
            size = int.from_bytes(buffer[4:_HEADER], "big")
            if len(buffer) < _HEADER + size:
                break
            yield _STREAMS.get(buffer[0], "stdout"), buffer[_HEADER : _HEADER + size]
            buffer = buffer[_HEADER + size :]
    if len(buffer) > _HEADER:
        yield _STREAMS.get(buffer[0], "stdout"), buffer[_HEADER:]


def raw(chunks: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """A terminal's stream, which has no frames: all of it is stdout."""
    return (("stdout", chunk) for chunk in chunks)


def lines(pieces: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, str]]:
    """(stream, line) with each stream's pieces joined; the last line may lack its newline."""
    rest: dict[str, bytes] = {}
    for stream, piece in pieces:
        *whole, rest[stream] = (rest.get(stream, b"") + piece).split(b"\n")
        for line in whole:
            yield stream, _text(line)
    for stream, line in rest.items():
        if line:
            yield stream, _text(line)


def rejoin(pieces: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Log frames, with the time taken out of those that continue a line.

    The engine cuts long lines (16 KiB) and puts the time in front of every part.
    """
    open_lines: set[str] = set()
    for stream, piece in pieces:
        stamp, space, rest = piece.partition(b" ")
        continues = stream in open_lines and space and _STAMP.fullmatch(stamp)
        yield stream, rest if continues else piece
        if piece.endswith(b"\n"):
            open_lines.discard(stream)
        else:
            open_lines.add(stream)


def timed(line: str) -> tuple[float, str]:
    """The time the engine put in front of a line, and the line."""
    stamp, _, text = line.partition(" ")
    at = seconds(stamp)
    return (at, text) if at else (0.0, line)


def since(stamp: str, *, earlier: int = 0) -> str:
    """A line's time, or some seconds before it, as the engine's `since` wants it: with all nine digits."""
    whole, _, rest = stamp.removesuffix("Z").partition(".")
    return f"{seconds(whole + 'Z') - earlier:.0f}.{rest or '0'}"


def _text(line: bytes) -> str:
    return line.decode(errors="replace").removesuffix("\r")
