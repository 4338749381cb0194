"""Remove what nobody asks to keep: old snapshots, in every destination, and what killed backups left there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from havre.backups.leftovers import leftovers
from havre.backups.repository import Repository
from havre.backups.retention import to_forget
from havre.errors import HavreError, Problem
from havre.host import clock
from havre.model.backup import BackupPolicy, Snapshot
from havre.workflows.storage import Storage


def outdated(storage: Storage, instance: str, policy: BackupPolicy) -> tuple[Snapshot, ...]:
    """What the policy no longer asks to keep in its destinations; what lies elsewhere is not touched."""
    recorded, urls = storage.book.snapshots(instance, policy.service), storage.urls(policy)
    known = [one for one in recorded if not one.places or set(one.places) & set(urls)]
    return to_forget(known, policy.keep, clock.now())


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidied:
    """What went, and what is wrong with destinations where it could not go yet."""

    gone: tuple[Snapshot, ...] = ()
    problems: tuple[Problem, ...] = ()


def tidy(
    storage: Storage, instance: str, policy: BackupPolicy, *, but: Collection[str] = (), thorough: bool = False
) -> Tidied:
    """Forget what the policy no longer asks to keep in all its destinations (`but` some), and free its room.

    What killed backups left goes too; where nothing is outdated it is looked for only when `thorough`.
    """
    gone, problems, away = outdated(storage, instance, policy), list[Problem](), set(but)
    for url in storage.urls(policy) if gone or thorough else ():
        if url not in away:
            try:
                _tidy_one(storage.repository(url), instance, policy.service, gone)
            except HavreError as error:
                away.add(url)
                problems += error.problems
    gone = tuple(one for one in gone if not away & set(one.places))
    for snapshot in gone:
        storage.book.forget(snapshot)
    return Tidied(gone=gone, problems=tuple(problems))


def _tidy_one(repository: Repository, instance: str, service: str, gone: Sequence[Snapshot]) -> None:
    tags = {f"backup={snapshot.id}" for snapshot in gone}
    listed = repository.snapshots([f"instance={instance}", f"service={service}"])
    useless = {entry.id for entry in listed if tags & set(entry.tags)} | set(leftovers(listed, clock.now()))
    if useless:
        repository.forget(sorted(useless))
        repository.prune()
