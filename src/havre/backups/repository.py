"""A repository: where snapshots are kept, encrypted; restic's, or an archive of our own where restic is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from havre.backups.feeding import Look, Writable
from havre.errors import Problem

Produce = Callable[[Writable], int]
"""Writes a stream to the sink and returns the exit code of whatever made it."""
ARCHIVE = "age:"
"""Before a directory: an archive, whether restic is there or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What was kept of a stream: its id, and the bytes that went in and by which the repository grew."""

    id: str
    size: int
    added: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A snapshot in the repository."""

    id: str
    time: str
    tags: tuple[str, ...]
    paths: tuple[str, ...]


class Repository(Protocol):
    """Snapshots, each with one file or directory, found by their tags. Raises only HavreErrors."""

    url: str

    @property
    def shown(self) -> str:
        """The address without credentials."""
        ...

    def exists(self) -> bool:
        """True when the repository is there and this key opens it; UnavailableError when it cannot be reached."""
        ...

    def make(self) -> None:
        """Make the repository unless it is there."""
        ...

    def store(self, name: str, tags: Sequence[str], produce: Produce, look: Look = ...) -> Stored:
        """Store one stream as a snapshot with one file, and only if whoever makes it ends with exit code 0.

        Raises what `produce` raises, FailedError when it reports another exit code or storing fails; then there
        is no snapshot.
        """
        ...

    def store_small(self, name: str, tags: Sequence[str], content: bytes) -> Stored:
        """Store a few bytes as a snapshot with one file."""
        ...

    def store_directory(self, directory: Path, tags: Sequence[str], *, exclude: Sequence[str] = ()) -> Stored:
        """Store a directory of this machine as it is."""
        ...

    def open(self, snapshot: str, name: str, *, to_end: bool = True) -> AbstractContextManager[BinaryIO]:
        """One file of a snapshot as a stream; with `to_end`, leaving the block raises unless all of it came whole."""
        ...

    def by_hand(self, snapshot: str, name: str) -> str:
        """How people write one file of a snapshot to standard output without Havre: a command, or several, in words."""
        ...

    def read_small(self, snapshot: str, name: str) -> bytes:
        """One small file of a snapshot."""
        ...

    def restore_directory(self, snapshot: str, target: Path) -> None:
        """Write a stored directory's content below `target`."""
        ...

    def snapshots(self, tags: Sequence[str] = ()) -> tuple[Listed, ...]:
        """The snapshots that carry all these tags, oldest first."""
        ...

    def copy_from(self, source: Repository, tags: Sequence[str]) -> None:
        """Copy the snapshots that carry all these tags from another repository of ours."""
        ...

    def forget(self, ids: Sequence[str]) -> None:
        """Drop snapshots; the room they took is free after `prune`."""
        ...

    def prune(self) -> None:
        """Free what no snapshot needs."""
        ...

    def check(self, *, share: str | None = None) -> None:
        """Prove the repository's structure, and with `share` (`5%`, `1/7`) that much of its data, byte by byte."""
        ...


def local_directory(url: str) -> Path | None:
    """The directory of a repository on this machine; None for one elsewhere."""
    path = url.removeprefix(ARCHIVE)
    return Path(path) if path.startswith("/") else None


def copy_streams(source: Repository, target: Repository, tags: Sequence[str], *, chunk: int = 1 << 20) -> None:
    """Copy one-file snapshots between repositories of different sorts, stream by stream."""
    for listed in source.snapshots(tags):
        name = listed.paths[0].lstrip("/")

        def produce(sink: Writable, snapshot: str = listed.id, name: str = name) -> int:
            with source.open(snapshot, name) as stream:
                while piece := stream.read(chunk):
                    sink.write(piece)
            return 0

        target.store(name, listed.tags, produce)


def source_failed(code: int) -> Problem:
    """Whoever made the stream did not end well."""
    return Problem(
        summary=f"the dump ended with exit code {code}, so nothing of it was kept",
        hint="the lines above are its own words; correct what they name and back up again",
        code="backup-source-failed",
    )


def sizes_differ(sent: int, kept: int) -> Problem:
    """Not all that was dumped is stored."""
    return Problem(
        summary=f"{sent} bytes were dumped but {kept} were stored",
        hint="back up again; if it happens twice, check the disk and the memory of this server",
        code="backup-truncated",
    )


def wrong_key(shown: str) -> Problem:
    """The repository was made with another key."""
    return Problem(
        summary=f"the key does not open the repository {shown}",
        effect="nothing was written to it",
        hint="use the key of the server that made it (`havre backup export-key` there), or another destination",
        code="repository-key",
    )


def no_repository(shown: str, lines: tuple[str, ...] = ()) -> Problem:
    """Nothing is there, or not any more."""
    return Problem(
        summary=f"there is no repository at {shown}",
        evidence=lines,
        hint="check the address; the first `havre backup` makes the repository",
        code="repository-missing",
    )
