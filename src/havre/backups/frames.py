"""Compress a dump on its way into the repository, so that what did not change is stored once.

A repository keeps equal pieces once, but a compressed stream differs from its first change to its end. So every table
begins a zstd frame of its own, and a long one begins another every few megabytes: tables that did not change, and the
part of a growing table before what was added, are the same bytes again. `zstd -d` reads the whole.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO, Protocol

import zstandard

from havre.backups.feeding import Writable

ENDING = ".zst"
FRAME = 8 * 1024 * 1024
"""Bytes of a table in one frame."""
_LEVEL = 1
_READ = 1024 * 1024


class Blocks(Protocol):
    """A reader that knows where in the stream blocks begin."""

    @property
    def block_starts(self) -> Sequence[int]:
        """Those that the last piece brought, in bytes from the beginning."""
        ...

    def feed(self, piece: bytes) -> None:
        """The next piece."""
        ...


class Framed:
    """What the dump is written to: read, compressed in frames, sent on. Call `finish` after the last piece."""

    def __init__(self, sink: Writable, reader: Blocks) -> None:
        self._sink = sink
        self._reader = reader
        self._zstd = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        self._frame = self._zstd.compressobj()
        self._left = FRAME
        self.size = 0
        """Bytes before compression."""

    def write(self, piece: bytes) -> int:
        """Take a piece."""
        self._reader.feed(piece)
        done, view = self.size, memoryview(piece)
        for start in self._reader.block_starts:
            if start >= done:
                self._compress(view[done - self.size : start - self.size])
                self._begin()
                done = start
        self._compress(view[done - self.size :])
        self.size += len(piece)
        return len(piece)

    def finish(self) -> None:
        """The end of the stream."""
        self._send(self._frame.flush())

    def _compress(self, view: memoryview) -> None:
        while len(view) >= self._left:
            cut = self._left
            self._send(self._frame.compress(view[:cut]))
            self._begin()
            view = view[cut:]
        if view:
            self._send(self._frame.compress(view))
            self._left -= len(view)

    def _begin(self) -> None:
        self._send(self._frame.flush())
        self._frame = self._zstd.compressobj()
        self._left = FRAME

    def _send(self, compressed: bytes) -> None:
        if compressed:
            self._sink.write(compressed)


@contextmanager
def unframed(source: AbstractContextManager[BinaryIO], file: str) -> Iterator[BinaryIO]:
    """A stored stream as it was before compression, where `file` says that it was compressed."""
    with source as stored:
        if not file.endswith(ENDING):
            yield stored
            return
        # Whoever feeds it to a command may still be reading when that command had enough. The buffer lets a read end
        # before it closes; the decompressor alone brings the process down.
        frames = zstandard.ZstdDecompressor().stream_reader(stored, read_across_frames=True, closefd=False)
        with io.BufferedReader(frames, _READ) as whole:
            yield whole
