"""Streams on their way into an archive and out of it: zstd and age, in pieces, whatever the size.

A stream that comes in zstd frames already is encrypted as it is: compressing it again would cost time for nothing.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from typing import TYPE_CHECKING, BinaryIO

import pyrage  # type: ignore[import-untyped]
import zstandard

from havre.backups.feeding import Look, ReceiverGoneError
from havre.backups.repository import Produce

if TYPE_CHECKING:
    from pyrage.ssh import Recipient  # type: ignore[import-untyped]

_LEVEL = 3


def pack(
    file: BinaryIO, recipient: Recipient, produce: Produce, look: Look, *, compress: bool = True
) -> tuple[int, int]:
    """Write what a source produces to `file`: compressed in this thread, encrypted in another.

    Returns (exit code of the source, its bytes); raises OSError when the disk takes no more.
    """
    reading, writing = os.pipe()
    failures: list[BaseException] = []

    def encrypt() -> None:
        with os.fdopen(reading, "rb") as compressed:
            try:
                pyrage.encrypt_io(compressed, file, [recipient])
            except BaseException as error:  # noqa: BLE001 - told by the thread that writes, whatever it was
                failures.append(error)

    worker = threading.Thread(target=encrypt, daemon=True)
    worker.start()
    sink, code = _Packing(writing, look, compress=compress), 0
    try:
        code = produce(sink)
        sink.finish()
    except ReceiverGoneError:
        failures.append(OSError(errno.EIO, "the encryption ended early"))
    finally:
        os.close(writing)
        worker.join()
    if failures:
        raise _as_oserror(failures[0])
    return code, sink.size


class _Packing:
    """What the source writes to: looked at, counted, compressed unless it is already, passed on."""

    def __init__(self, target: int, look: Look, *, compress: bool) -> None:
        self._target = target
        self._look = look
        zstd = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        self._compressor = zstd.compressobj() if compress else None
        self.size = 0

    def write(self, piece: bytes) -> int:
        """Take a piece; raises ReceiverGoneError when the disk took no more."""
        self._look(piece)
        self._send(self._compressor.compress(piece) if self._compressor else piece)
        self.size += len(piece)
        return len(piece)

    def finish(self) -> None:
        """The end of the stream."""
        if self._compressor:
            self._send(self._compressor.flush())

    def _send(self, piece: bytes) -> None:
        _send_all(self._target, piece)


class Unpacking:
    """What age writes to: unpacked if it was packed here, counted, passed on."""

    def __init__(self, target: int, *, compressed: bool = True) -> None:
        self._target = target
        self._decompressor = zstandard.ZstdDecompressor().decompressobj() if compressed else None
        self.size = 0
        self.is_left = False
        """Its reader had enough before the end."""

    def write(self, piece: bytes) -> int:
        """Take a piece; raises ReceiverGoneError when nobody reads any more."""
        unpacked = self._decompressor.decompress(piece) if self._decompressor else piece
        self.size += len(unpacked)
        try:
            _send_all(self._target, unpacked)
        except ReceiverGoneError:
            self.is_left = True
            raise
        return len(piece)

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing more comes."""
        os.close(self._target)


def _send_all(target: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        try:
            view = view[os.write(target, view) :]
        except BrokenPipeError as error:
            raise ReceiverGoneError from error


def _as_oserror(error: BaseException) -> OSError:
    """age wraps the system's errors into its own, by their text."""
    if isinstance(error, OSError):
        return error
    found = re.search(r"(?:Errno|os error) (\d+)", str(error))
    number = int(found[1]) if found else errno.EIO
    return OSError(number, os.strerror(number) if found else str(error))
