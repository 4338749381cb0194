"""Ship what the receiver has written: as one snapshot of the repository, whole files and the one under way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from havre.backups.leftovers import leftovers
from havre.backups.repository import Listed, Repository
from havre.backups.wal import Segment, missing_between, segments_among, superseded
from havre.backups.wal_book import shipment_tags
from havre.errors import HavreError, Problem
from havre.host import clock
from havre.model.pitr import Archive, Chain, Shipment
from havre.workflows.receiver import Receiver

BATCH = 32
"""So many whole files stay on this server after they were shipped: the next shipment then replaces the last one."""

MANY = 12
"""So many shipments that later ones repeat go together."""


@dataclass(frozen=True, slots=True)
class Shipper:
    """Ships the log of one service."""

    instance: str
    service: str
    receiver: Receiver
    repository: Repository
    others: tuple[Repository, ...] = ()

    def ship(self, archive: Archive, chain: Chain, *, until: float | None = None, position: int = 0) -> Archive:
        """Store what was received; nothing from before `until` (the last byte's time) is missing."""
        spool = self.receiver.spool(chain)
        files = _without_hole(_last(archive, chain), self._files(chain))
        if not files:
            return archive
        shipment = Shipment(
            id=f"{self.service}-wal-{clock.stamp(clock.now())}-{files[-1].number:x}",
            chain=chain.id,
            first=files[0].number,
            last=files[-1].number,
            is_partial=files[-1].is_partial,
            until=(spool / files[-1].name).stat().st_mtime if until is None else until,
            position=position,
            size=len(files) * chain.segment,
        )
        if not archive.shipments:  # only the first time: a repository that vanished later must be noticed
            for repository in (self.repository, *self.others):
                repository.make()
        self._store(spool, files, shipment)
        _make_room(spool, files)
        shipped = replace(archive, shipments=(*archive.shipments, shipment))
        return self._tidied(self.to_copy(shipped, shipment.id), chain)

    def hole(self, archive: Archive, chain: Chain) -> str | None:
        """Why what lies here cannot be added to what was shipped, or None."""
        found = missing_between(_last(archive, chain), self._files(chain))
        return found and f"files {found[0]:x} to {found[1] - 1:x} of it vanished from this server"

    def waiting(self, archive: Archive, chain: Chain) -> int:
        """Bytes received that are in no shipment yet."""
        last = _last(archive, chain)
        return sum(chain.segment for segment in self._files(chain) if last is None or segment.number > last)

    def to_copy(self, archive: Archive, name: str) -> Archive:
        """Something was stored, and the other repositories lack it."""
        return replace(archive, uncopied=(*archive.uncopied, *((other.url, name) for other in self.others)))

    def copy_rest(self, archive: Archive) -> tuple[Archive, tuple[Problem, ...]]:
        """Bring what the other repositories lack; those that are away get it another time, and this is said."""
        others, away = {other.url: other for other in self.others}, dict[str, HavreError]()
        known = {*(base.id for base in archive.bases), *(shipment.id for shipment in archive.shipments)}
        left = []
        for url, name in archive.uncopied:
            if url in others and name in known:
                if url not in away:
                    try:
                        others[url].copy_from(self.repository, [f"backup={name}"])
                        continue
                    except HavreError as error:
                        away[url] = error
                left.append((url, name))
        problems = (problem for error in away.values() for problem in error.problems)
        return replace(archive, uncopied=tuple(left)), tuple(problems)

    def forget(self, names: Sequence[str], *, prune: bool = False) -> None:
        """Drop bases and shipments from every repository."""
        for repository in (self.repository, *self.others) if names else ():
            wanted = {f"backup={name}" for name in names}
            repository.forget([one.id for one in self._listed(repository) if wanted & set(one.tags)])
            if prune:
                repository.prune()

    def sweep(self) -> None:
        """Free the room of what was never finished: a killed base backup leaves as much as the server holds."""
        for repository in (self.repository, *self.others):
            if left := leftovers(self._listed(repository), clock.now()):
                repository.forget(left)
                repository.prune()

    def clear(self, chain: Chain) -> None:
        """The chain has ended and is shipped: its files go from this server."""
        shutil.rmtree(self.receiver.spool(chain), ignore_errors=True)

    def _store(self, spool: Path, files: Sequence[Segment], shipment: Shipment) -> None:
        """From a directory of links: what the receiver renames meanwhile does not matter."""
        staging = spool.parent / "shipping"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700)
        try:
            for name in (*(one.name for one in files), *(path.name for path in spool.glob("*.history"))):
                _link(spool, staging, name)
            tags = shipment_tags(self.instance, self.service, shipment)
            self.repository.store_directory(staging, tags)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _listed(self, repository: Repository) -> tuple[Listed, ...]:
        return repository.snapshots([f"instance={self.instance}", f"service={self.service}"])

    def _tidied(self, archive: Archive, chain: Chain) -> Archive:
        """Without the shipments that later ones repeat, many at a time: each forgetting costs a storage a round."""
        old = superseded(archive, chain.id)
        if len(old) < MANY:
            return archive
        try:
            self.forget([one.id for one in old])
        except HavreError:  # a destination is away: they cost room until another shipment finds it there
            return archive
        return replace(archive, shipments=tuple(one for one in archive.shipments if one not in old))

    def _files(self, chain: Chain) -> tuple[Segment, ...]:
        found = segments_among(spooled(self.receiver.spool(chain), chain.segment), chain.segment)
        return tuple(one for one in found if one.timeline == chain.timeline)


def _last(archive: Archive, chain: Chain) -> int | None:
    """The number of the last whole file that was shipped."""
    shipped = archive.of_chain(chain.id)
    return max((one.last - int(one.is_partial) for one in shipped), default=None)


def _without_hole(last: int | None, files: Sequence[Segment]) -> tuple[Segment, ...]:
    """The files up to the first that is missing."""
    found = missing_between(last, files)
    return tuple(one for one in files if found is None or one.number < found[0])


def _make_room(spool: Path, files: Sequence[Segment]) -> None:
    """Whole files go when they are many; the newest stays, from which the receiver knows where to go on."""
    shipped = [one for one in files if not one.is_partial]
    for segment in shipped[:-1] if len(shipped) >= BATCH else ():
        (spool / segment.name).unlink(missing_ok=True)


def spooled(spool: Path, size: int) -> tuple[str, ...]:
    """The names of the log's files in a directory; one that is not as long as all are was never begun."""
    found = os.scandir(spool) if spool.is_dir() else ()
    return tuple(entry.name for entry in found if entry.is_file() and entry.stat().st_size == size)


def _link(spool: Path, staging: Path, name: str) -> None:
    """A file that became whole since we looked has lost its ending."""
    try:
        os.link(spool / name, staging / name)
    except FileNotFoundError:
        os.link(spool / name.removesuffix(".partial"), staging / name)
