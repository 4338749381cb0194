"""Directories and commands: volumes and bind mounts as tar streams, and whatever a command writes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from havre.backups.feeding import Writable
from havre.backups.place import Keep, Place, Taken, produced
from havre.backups.tararchive import TarError, TarReader
from havre.errors import FailedError, Problem
from havre.model.backup import Part

Pause = Callable[[], None]


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
        parts = tuple(self._store(place, keep, name, path) for name, path in self.paths)
        return Taken(parts=parts, checks=("every archive is whole, its files counted",))

    def _store(self, place: Place, keep: Keep, name: str, path: str) -> Part:
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
        return Part(name=name, file=file, size=stored.size, counts=counts, restic=stored.id, target=path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a command in the replica writes to its standard output."""

    command: tuple[str, ...]
    name: str = "command"

    def estimate(self, place: Place) -> int | None:  # noqa: ARG002 - only its output would tell
        """Nothing is known before it runs."""
        return None

    def take(self, place: Place, keep: Keep) -> Taken:
        """Store its output; an exit code other than 0 or no output at all is a failure."""
        stored = keep("output", produced(place, self.command), lambda _: None)
        doubts = () if stored.size else ("the command wrote nothing",)
        part = Part(name="output", file="output", size=stored.size, restic=stored.id)
        return Taken(parts=(part,), checks=("the command ended with 0",), doubts=doubts)


def _not_whole(place: Place, path: str, error: TarError) -> Problem:
    return Problem(
        summary=f"the archive of {path} in {place.name} is not whole: {error}",
        effect="it does not count as a backup",
        hint="back up again; when files vanish while they are read, let the service stop for it (the default)",
        code="backup-structure",
    )
