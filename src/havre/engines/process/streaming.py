"""Bytes in and out of replicas while they come: a command's own streams, and files as a tar stream."""

from __future__ import annotations

import contextlib
import os
import posixpath
import tarfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from havre.engines.process.client import Refusal
from havre.engines.process.execution import command_fields, refused
from havre.engines.process.replicas import Found, Replicas
from havre.errors import FailedError, Problem
from havre.model.backup import Streamed

_CHUNK = 256 * 1024
_KEPT_COMPLAINTS = 8192


def stream_in(
    replicas: Replicas, found: Found, command: Sequence[str], *, stdin: BinaryIO | None, stdout: BinaryIO,
    environment: Sequence[tuple[str, str]] = (), user: str | None = None,
) -> Streamed:  # fmt: skip
    """Run `command` in the replica's world, its streams connected to the caller's files."""
    fields = command_fields(found, command, environment, user)
    reading = _Given(stdin)
    written, complained = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    complaints = bytearray()
    listener = threading.Thread(target=_keep_end, args=(complained[0], complaints), daemon=True)
    listener.start()
    run = _Run(replicas, found, fields, (reading.handle, written[1], complained[1]))
    run.start()
    try:
        while piece := os.read(written[0], _CHUNK):
            stdout.write(piece)
    finally:
        os.close(written[0])
        run.join()
        listener.join(1.0)
    return Streamed(exit_code=run.code(), complaints=complaints.decode(errors="replace"))


def read_files(found: Found, path: str, sink: BinaryIO) -> None:
    """What lies at `path` in a replica, running or not, as a tar stream."""
    real = real_path(found, path)
    with tarfile.open(fileobj=sink, mode="w|") as archive:
        archive.add(real, arcname=posixpath.basename(path.rstrip("/")) or ".")


def write_files(found: Found, path: str, source: BinaryIO) -> None:
    """Unpack a tar stream below `path`; entries of a directory that is a volume go where the volume lies."""
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for entry in archive:
            inside = posixpath.normpath(posixpath.join(path, entry.name))
            target = real_path(found, inside)
            if entry.isdir() and target.is_dir():
                continue
            entry.name = target.name
            archive.extract(entry, target.parent, filter="tar")
            if os.geteuid() == 0:
                os.chown(target, entry.uid, entry.gid, follow_symlinks=False)


def real_path(found: Found, path: str) -> Path:
    """Where this machine keeps what the replica sees at `path`."""
    for place in sorted(found.launch.places, key=lambda place: len(place.target), reverse=True):
        target = place.target.rstrip("/")
        if path == target or path.startswith(target + "/"):
            return Path(place.source + path[len(target) :])
    raise FailedError(_nowhere(found, path))


class _Run(threading.Thread):
    """The command under way; its handles are ours to close when it has ended, so that readers see the end."""

    def __init__(
        self, replicas: Replicas, found: Found, fields: dict[str, object], handles: tuple[int, int, int]
    ) -> None:
        super().__init__(daemon=True)
        self._ask = (replicas, found, fields)
        self._handles = handles
        self._code: int | None = None
        self._refusal: Refusal | None = None

    def run(self) -> None:
        replicas, found, fields = self._ask
        try:
            self._code = replicas.execute(found, fields, self._handles, None)
        except Refusal as refusal:
            self._refusal = refusal
        finally:
            for handle in self._handles:
                os.close(handle)

    def code(self) -> int:
        """Its exit code; raises FailedError when it could not be run at all."""
        if self._refusal is not None and self._refusal.kind != "launch":
            raise FailedError(refused(self._ask[1], str(self._refusal)))
        return -1 if self._code is None else self._code


class _Given:
    """A pipe fed from the caller's file, or the empty device."""

    def __init__(self, stdin: BinaryIO | None) -> None:
        if stdin is None:
            self.handle = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            return
        self.handle, writing = os.pipe2(os.O_CLOEXEC)
        threading.Thread(target=_feed, args=(stdin, writing), daemon=True).start()


def _feed(stdin: BinaryIO, writing: int) -> None:
    """A command that does not read to the end is fine; ValueError: the caller closed the source early."""
    with contextlib.suppress(OSError, ValueError):
        while piece := stdin.read(_CHUNK):
            view = memoryview(piece)
            while view:
                view = view[os.write(writing, view) :]
    os.close(writing)


def _keep_end(reading: int, kept: bytearray) -> None:
    while piece := os.read(reading, 65536):
        kept += piece
        del kept[:-_KEPT_COMPLAINTS]
    os.close(reading)


def _nowhere(found: Found, path: str) -> Problem:
    return Problem(
        summary=f"{path} of {found.launch.service} lies in no volume or directory",
        hint="name a volume of the service under `volumes:` of its backup",
        code="path-nowhere",
    )
