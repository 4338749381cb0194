"""The log of a replica: one line per line it wrote, with time and stream, in at most N files of M bytes.

A line is `1763678000.123456 o text`; the second word is `o` for stdout and `e` for stderr.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

NAME = "log"
LONGEST_LINE = 16 * 1024
STREAMS = {"o": "stdout", "e": "stderr"}


class LogFile:
    """The writing side; it owns `DIRECTORY/log`, `log.1`, …"""

    def __init__(self, directory: str, *, size: int, files: int) -> None:
        self._path = f"{directory}/{NAME}"
        self._size = size
        self._files = max(files, 1)
        self._rest = {"o": b"", "e": b""}
        self._open()

    def write(self, stream: str, data: bytes, at: float) -> None:
        """Append what a stream delivered at that time; an unfinished line waits for its end."""
        *lines, rest = (self._rest[stream] + data).split(b"\n")
        while len(rest) > LONGEST_LINE:
            lines.append(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        self._rest[stream] = rest
        if lines:
            self._append(stream, lines, at)

    def finish(self, at: float) -> None:
        """The replica ended: an unfinished line ends too."""
        for stream, rest in self._rest.items():
            if rest:
                self._rest[stream] = b""
                self._append(stream, [rest], at)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._handle)

    def _append(self, stream: str, lines: list[bytes], at: float) -> None:
        if len(lines) > 1 and sum(map(len, lines)) + 24 * len(lines) > self._size // 2:
            middle = len(lines) // 2
            self._append(stream, lines[:middle], at)
            self._append(stream, lines[middle:], at)
            return
        head = f"{at:.6f} {stream} ".encode()
        block = b"".join(head + line.removesuffix(b"\r") + b"\n" for line in lines)
        if self._written and self._written + len(block) > self._size:
            self._rotate()
        with contextlib.suppress(OSError):  # the disk is full: lines are lost, but nothing stands still
            self._written += os.write(self._handle, block)

    def _open(self) -> None:
        self._handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._written = os.fstat(self._handle).st_size

    def _rotate(self) -> None:
        os.close(self._handle)
        for number in range(self._files - 1, 0, -1):
            older = f"{self._path}.{number - 1}" if number > 1 else self._path
            if os.path.exists(older):
                os.replace(older, f"{self._path}.{number}")
        if self._files == 1:
            os.unlink(self._path)
        self._open()


def log_paths(directory: str) -> tuple[str, ...]:
    """The files of a replica's log, oldest first."""
    names = [name for name in os.listdir(directory) if name == NAME or name.startswith(f"{NAME}.")]
    ordered = sorted(names, key=lambda name: int(name.partition(".")[2] or 0), reverse=True)
    return tuple(f"{directory}/{name}" for name in ordered)


def parse(lines: Iterator[bytes]) -> Iterator[tuple[float, str, str]]:
    """(time, stream, text) of each whole line; a line cut short by a crash is left out."""
    for line in lines:
        at, _, rest = line.partition(b" ")
        stream, _, text = rest.partition(b" ")
        name = STREAMS.get(stream.decode(errors="replace"))
        if name is None or not line.endswith(b"\n"):
            continue
        yield float(at), name, text.rstrip(b"\n").decode(errors="replace")
