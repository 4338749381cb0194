"""Read the parts of snapshots back from the repository, whole or not at all."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from havre.backups.frames import unframed
from havre.backups.repository import Repository
from havre.errors import FailedError, Problem
from havre.model.backup import Part, Snapshot


@dataclass(frozen=True, slots=True)
class OpenPart:
    """Opens stored streams of one repository."""

    repository: Repository

    def __call__(self, stored: str, file: str, *, to_end: bool = True) -> AbstractContextManager[BinaryIO]:
        """A stored stream; with `to_end`, leaving the block raises FailedError unless all of it was delivered."""
        return unframed(self.repository.open(stored, file, to_end=to_end), file)

    def part(self, snapshot: Snapshot, part: Part, *, to_end: bool = True) -> AbstractContextManager[BinaryIO]:
        """A part of a snapshot, found by its tags where the repository is a copy of the first one."""
        return unframed(self.repository.open(self._locate(snapshot, part), part.file, to_end=to_end), part.file)

    def _locate(self, snapshot: Snapshot, part: Part) -> str:
        if snapshot.repository == self.repository.url and part.restic:
            return part.restic
        for listed in self.repository.snapshots([f"backup={snapshot.id}"]):
            if f"/{part.file}" in listed.paths:
                return listed.id
        raise FailedError(
            Problem(
                summary=f"{part.name} of the snapshot {snapshot.id} is not in {self.repository.shown}",
                hint="choose another snapshot (`havre backup list`) or another repository",
                code="snapshot-incomplete",
            )
        )
