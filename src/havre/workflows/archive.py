"""The archive of a release: its record as the first file of a tar, and behind it the engine's own archive of images.

It is a tar archive like any other, so `docker load` reads it as well, and it is written and read as a stream.
"""

from __future__ import annotations

import tarfile
from dataclasses import replace
from typing import BinaryIO

import msgspec

from havre.engines.base import Source
from havre.errors import InputError, Problem
from havre.model.release import Release

NAME = "havre-release.json"
LARGEST = 4 * 1024 * 1024
"""Bytes that a record may have; a real one has a few thousand."""


def write_record(release: Release, sink: BinaryIO) -> None:
    """The release without its plan, as the beginning of an archive: the engine's tar, if any, is written behind it."""
    content = msgspec.json.encode(replace(release, plan=""))
    info = tarfile.TarInfo(NAME)
    info.size = len(content)
    sink.write(info.tobuf(tarfile.PAX_FORMAT))
    sink.write(content.ljust(_padded(len(content)), b"\0"))


def read_record(source: Source) -> tuple[Release, Source | None]:
    """The release, and the stream of the images behind it; None where there are none.

    Raises InputError when it is no such archive.
    """
    header = _read(source, tarfile.BLOCKSIZE)
    try:
        info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        if info.name != NAME or info.size > LARGEST:
            raise InputError(_no_archive())
        content = _read(source, _padded(info.size))[: info.size]
        release = msgspec.json.decode(content, type=Release)
    except (tarfile.TarError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(_no_archive()) from error
    first = source.read(tarfile.BLOCKSIZE)
    return release, (_Rest(first, source) if first else None)


class _Rest:
    """What is left of a stream of which some bytes were read already."""

    def __init__(self, first: bytes, source: Source) -> None:
        self._first = first
        self._source = source

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; nothing at the end."""
        first, self._first = self._first, b""
        return first or self._source.read(size)


def _read(source: Source, size: int) -> bytes:
    """Exactly that many bytes, however they come."""
    content = b""
    while len(content) < size:
        more = source.read(size - len(content))
        if not more:
            raise InputError(_no_archive())
        content += more
    return content


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _no_archive() -> Problem:
    return Problem(
        summary="this is not the archive of a release, or it was cut short at its very beginning",
        hint="write one with `havre export release` on the server where the release serves",
        code="archive-unreadable",
    )
