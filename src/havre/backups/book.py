"""What is known of snapshots on this server, and the same kept beside the data in the repository itself.

Each snapshot's record is the last thing stored of it: a snapshot without one was never finished and never counts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import msgspec

from havre.backups.feeding import Writable
from havre.backups.repository import Repository
from havre.host.files import write_atomic
from havre.model.backup import DrillReport, Snapshot, Verdict

MANIFEST = "snapshot.json"
RECORD_TAG = "havre-record"


class Book:
    """The records of one server, as files below its state directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, snapshot: Snapshot) -> None:
        """Remember a snapshot, good or not; durable when this returns."""
        write_atomic(self._path(snapshot.instance, snapshot.id), msgspec.json.encode(snapshot), mode=0o600)

    def forget(self, snapshot: Snapshot) -> None:
        """Its data is gone."""
        self._path(snapshot.instance, snapshot.id).unlink(missing_ok=True)

    def snapshots(self, instance: str, service: str | None = None) -> tuple[Snapshot, ...]:
        """Those of an instance (and service), newest first."""
        found = [snapshot for snapshot in self._read(instance) if service in (None, snapshot.service)]
        return tuple(sorted(found, key=lambda snapshot: snapshot.started_at, reverse=True))

    def newest_good(self, instance: str, service: str, *, kind: str | None = None) -> Snapshot | None:
        """The newest that may be counted on (of that kind)."""
        found = (snapshot for snapshot in self.snapshots(instance, service) if kind in (None, snapshot.kind))
        return next((snapshot for snapshot in found if snapshot.is_good), None)

    def write_drill(self, report: DrillReport) -> None:
        """Keep the report of a drill."""
        name = f"{report.service}-{int(report.at)}{'-log' if report.from_log else ''}.json"
        write_atomic(self._directory / "drills" / report.instance / name, msgspec.json.encode(report))

    def drills(self, instance: str) -> tuple[DrillReport, ...]:
        """The reports of an instance, newest first."""
        files = (self._directory / "drills" / instance).glob("*.json")
        found = [msgspec.json.decode(file.read_bytes(), type=DrillReport) for file in files]
        return tuple(sorted(found, key=lambda report: report.at, reverse=True))

    def _read(self, instance: str) -> Iterator[Snapshot]:
        for file in (self._directory / "snapshots" / instance).glob("*.json"):
            yield msgspec.json.decode(file.read_bytes(), type=Snapshot)

    def _path(self, instance: str, snapshot: str) -> Path:
        return self._directory / "snapshots" / instance / f"{snapshot}.json"


def store_record(repository: Repository, snapshot: Snapshot) -> None:
    """The last thing stored of a snapshot: without it, what was stored before does not count."""
    store_record_of(repository, snapshot, lambda: snapshot)


def store_record_of(repository: Repository, begun: Snapshot, settled: Callable[[], Snapshot]) -> None:
    """The same for a snapshot that is still being judged while the repository is opened.

    `settled` waits for the verdict; what it raises is raised here, and nothing is stored.
    """

    def produce(sink: Writable) -> int:
        sink.write(msgspec.json.encode(settled()))
        return 0

    repository.store(MANIFEST, [*tags_of(begun), RECORD_TAG], produce)


def read_records(repository: Repository, instance: str | None = None) -> tuple[Snapshot, ...]:
    """All finished snapshots in a repository, newest first: what a server that lost everything knows."""
    tags = [RECORD_TAG, *([f"instance={instance}"] if instance else [])]
    contents = [repository.read_small(listed.id, MANIFEST) for listed in repository.snapshots(tags)]
    records = [_as_found_in(repository, msgspec.json.decode(content, type=Snapshot)) for content in contents]
    latest = {record.id: record for record in records}  # oldest first: one that was accepted later wins
    return tuple(sorted(latest.values(), key=lambda snapshot: snapshot.started_at, reverse=True))


def _as_found_in(repository: Repository, snapshot: Snapshot) -> Snapshot:
    """A copy of a repository gives its snapshots ids of their own: there the parts are found by their tags."""
    if snapshot.repository == repository.url:
        return snapshot
    parts = tuple(replace(part, restic="") for part in snapshot.parts)
    return replace(snapshot, repository=repository.url, parts=parts)


def tags_of(snapshot: Snapshot) -> list[str]:
    """How the parts of a snapshot are found in the repository."""
    return [f"instance={snapshot.instance}", f"service={snapshot.service}", f"backup={snapshot.id}"]


def judge(snapshot: Snapshot, previous: Snapshot | None, doubts: tuple[str, ...]) -> Snapshot:
    """The verdict: good, or suspicious because of its own doubts or because it shrank alarmingly."""
    reasons = (*doubts, *(shrinkage(snapshot, previous) if previous else ()))
    return replace(snapshot, verdict=Verdict.SUSPICIOUS if reasons else Verdict.GOOD, reasons=reasons)


COMPRESSED = 5
"""A first backup takes a fifth of the data at the very least: less room than that cannot do."""


class Earlier(Protocol):
    """What was stored before: a snapshot or a base backup."""

    @property
    def repository(self) -> str:
        """Where."""
        ...

    @property
    def added(self) -> int:
        """By how many bytes the repository grew."""
        ...


def added_by_next(url: str, size: int | None, previous: Earlier | None) -> int:
    """Bytes by which a repository will grow: twice what the last backup added there, else by the size of the data."""
    if previous is not None and previous.repository == url and previous.added:
        return previous.added * 2
    return size // COMPRESSED if size else 0


ALARMING = 0.5
"""A part that lost more than this share of its rows, keys, files or bytes is not believed without a person."""
SMALL = 20
"""Counts below this may change as they like."""


def still_asked_for(previous: Snapshot, names: Collection[str]) -> Snapshot:
    """An earlier snapshot without the parts that nobody asks for any more: `names` are all wanted, none means all."""
    parts = tuple(part for part in previous.parts if not names or part.name in names or part.target in names)
    return replace(previous, parts=parts)


def shrinkage(snapshot: Snapshot, previous: Snapshot) -> tuple[str, ...]:
    """What is so much less than in the last good snapshot that something must have gone wrong."""
    found = []
    for before in previous.parts:
        after = snapshot.part(before.name)
        if after is None:
            found.append(f"{before.name} is not there any more")
            continue
        counts = dict(after.counts)
        pairs = [(name, count, counts.get(name, 0)) for name, count in before.counts]
        pairs += [("in all", before.total, after.total), ("bytes", before.size, after.size)]
        found += [
            f"{before.name}, {name}: {now} after {then}"
            for name, then, now in pairs
            if then >= (65536 if name == "bytes" else SMALL) and now < then * (1 - ALARMING)
        ]
    return tuple(dict.fromkeys(found))
