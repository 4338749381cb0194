"""Directories and commands: volumes and bind mounts as tar streams, and whatever a command writes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from havre.backups.feeding import Writable
from havre.backups.place import Collected, Keep, Place, Taken, produced
from havre.backups.tararchive import TarError, TarReader
from havre.errors import FailedError, Problem
from havre.host import clock
from havre.model.backup import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Directories:
    """Directories of a replica: (name, path). The caller has stopped it, or said that it may run."""

    paths: tuple[tuple[str, str], ...]
    name: str = "volume"

    def estimate(self, place: Place) -> int | None:
        """What the directories take on disk."""
        answer = place.ask(("du", "-sk", *(path for _, path in self.paths)))
        sizes = re.findall(r"^(\d+)\s", answer.output, re.MULTILINE)
        return sum(map(int, sizes)) * 1024 if answer.exit_code == 0 else None

    def take(self, place: Place, keep: Keep) -> Taken:
        """Store each as a tar stream, its files counted."""
        parts = tuple(_store(place, keep, name, path)[0] for name, path in self.paths)
        return Taken(parts=parts, checks=("every archive is whole, its files counted",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a command in the replica writes to its standard output, or into a directory there."""

    command: tuple[str, ...]
    directory: str | None = None
    name: str = "command"

    def estimate(self, place: Place) -> int | None:  # noqa: ARG002 - only its output would tell
        """Nothing is known before it runs."""
        return None

    def take(self, place: Place, keep: Keep) -> Taken:
        """Store what it writes; an exit code other than 0 is a failure, and nothing written is doubted."""
        if self.directory is not None:
            return self._take_directory(place, keep, self.directory)
        stored = keep(OUTPUT, produced(place, self.command), lambda _: None)
        doubts = () if stored.size else ("the command wrote nothing",)
        part = Part(name=OUTPUT, file=OUTPUT, size=stored.size, restic=stored.id)
        return Taken(parts=(part,), checks=("the command ended with 0",), doubts=doubts)

    def _take_directory(self, place: Place, keep: Keep, directory: str) -> Taken:
        started = int(clock.now())
        produced(place, self.command)(Collected())
        part, reader = _store(place, keep, OUTPUT, directory)
        written = reader.files and reader.newest >= started - _SLACK
        doubts = () if written else (f"the command wrote no file into {directory}",)
        checks = ("the command ended with 0", "the archive of its directory is whole, its files counted")
        return Taken(parts=(part,), checks=checks, doubts=doubts)


OUTPUT = "output"
_SLACK = 2
"""Seconds by which the time of a file may be older than the moment it was written: some disks keep even ones."""


def _store(place: Place, keep: Keep, name: str, path: str) -> tuple[Part, TarReader]:
    """A directory as a tar stream, its files counted."""
    reader, file = TarReader(), f"{name}.tar"

    def produce(sink: Writable) -> int:
        place.read_files(path, sink)
        reader.finish()
        return 0

    try:
        stored = keep(file, produce, reader.feed)
    except TarError as error:
        raise FailedError(_not_whole(place, path, error)) from error
    counts = (("files", reader.files), ("bytes", reader.size))
    return Part(name=name, file=file, size=stored.size, counts=counts, restic=stored.id, target=path), reader


def _not_whole(place: Place, path: str, error: TarError) -> Problem:
    return Problem(
        summary=f"the archive of {path} in {place.name} is not whole: {error}",
        effect="it does not count as a backup",
        hint="back up again; when files vanish while they are read, let the service stop for it (the default)",
        code="backup-structure",
    )
