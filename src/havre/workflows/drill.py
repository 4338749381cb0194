"""Drill: restore the newest snapshot of each service into a throw-away replica, ask it questions, measure, report.

Where the log of a database is kept too, its newest base backup and that log are restored as well (`drill_log.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from havre.backups import redis
from havre.backups.choosing import databases_at, policies_for, redis_password
from havre.backups.reading import OpenPart
from havre.backups.tararchive import TarReader
from havre.engines.base import Context
from havre.errors import FailedError, HavreError, Problem
from havre.host import clock
from havre.host.locks import exclusive
from havre.model.backup import BackupPolicy, DrillReport, Part, Snapshot
from havre.model.backup_kinds import DATABASE_KINDS
from havre.model.plan import RemoveReplica, RestartReplica, StartReplica, StopReplica
from havre.model.project import MountKind, Project, Service
from havre.model.units import show_seconds
from havre.workflows.drill_log import newest_log
from havre.workflows.intent import Intent
from havre.workflows.places import ThrowAwayPlace, throw_away
from havre.workflows.rehearsal import Rehearsal, asserted
from havre.workflows.room import needed_for, refuse_restore_without_room
from havre.workflows.storage import Storage
from havre.workflows.which_snapshot import chosen_snapshot

Progress = Callable[[str], None]
START_LIMIT = 180.0
_CHUNK = 1 << 20
NO_SNAPSHOT = "none"
_INIT_SCRIPTS = "/docker-entrypoint-initdb.d"


def drill(
    storage: Storage, intent: Intent, services: Sequence[str] = (), *, progress: Progress = lambda _: None
) -> tuple[DrillReport, ...]:
    """Drill these services (all that are backed up by default); reports are kept, whatever comes of it."""
    policies = policies_for(intent.app, intent.project, services)
    instance = intent.app.instance
    lock = storage.server.state.lock(f"{instance}.drill")
    with exclusive(lock, what=f"the drills of {instance}", doing="drill"):
        reports = tuple(report for policy in policies for report in _Drill(storage, intent, policy, progress).run())
    for report in reports:
        storage.book.write_drill(report)
    return reports


def refuse_failed(reports: Sequence[DrillReport]) -> None:
    """Raises FailedError with every drill that did not pass."""
    if failed := [report for report in reports if not report.passed]:
        raise FailedError([_not_passed(report) for report in failed])


@dataclass(frozen=True, slots=True)
class _Drill:
    """The drill of one service."""

    storage: Storage
    intent: Intent
    policy: BackupPolicy
    progress: Progress

    def run(self) -> tuple[DrillReport, ...]:
        """One report for each way in which the service's data would be brought back."""
        reports = []
        taken = any(one.parts for one in self.storage.book.snapshots(self.intent.app.instance, self.policy.service))
        if taken or self.policy.pitr is None:
            reports.append(self._report(self._newest_snapshot))
        if self.policy.pitr is not None:
            reports.append(self._report(self._newest_log, from_log=True))
        return tuple(reports)

    def _report(self, choose: Callable[[], Rehearsal], *, from_log: bool = False) -> DrillReport:
        """Never raises for what a drill is there to find."""
        at, started = clock.now(), clock.elapsed()
        name, lines, passed, age = NO_SNAPSHOT, tuple[str, ...](), False, 0.0
        try:
            chosen = choose()
            name, age = chosen.name, at - chosen.taken_at
            self.progress(f"{self.policy.service}: restoring {chosen.shown} into a throw-away replica")
            lines, passed = chosen.restore(), True
        except HavreError as error:
            lines = tuple(str(problem) for problem in error.problems)
        return DrillReport(
            instance=self.intent.app.instance, service=self.policy.service, snapshot=name, at=at, passed=passed,
            rto=clock.elapsed() - started, rpo=age, lines=lines, from_log=from_log,
        )  # fmt: skip

    def _newest_snapshot(self) -> Rehearsal:
        instance = self.intent.app.instance
        snapshot = chosen_snapshot(self.storage.book.snapshots(instance), instance, self.policy.service, None)
        return Rehearsal(
            name=snapshot.id, shown=snapshot.id, taken_at=snapshot.started_at, restore=lambda: self._restore(snapshot)
        )

    def _newest_log(self) -> Rehearsal:
        instance = self.intent.app.instance
        return newest_log(self.storage, self.policy, self._service, self._context, instance)

    def _restore(self, snapshot: Snapshot) -> tuple[str, ...]:
        if snapshot.kind in DATABASE_KINDS:
            return self._databases(snapshot)
        if snapshot.kind == "redis":
            return self._redis(snapshot)
        return tuple(self._read_through(snapshot, part) for part in snapshot.parts)

    def _databases(self, snapshot: Snapshot) -> tuple[str, ...]:
        lines = []
        with self._throw_away() as place:
            server = databases_at(snapshot.kind, place, self.storage.server.state.backups)
            if not server.await_start(START_LIMIT):
                raise FailedError(_did_not_start(place))
            needed = needed_for(snapshot.parts)
            refuse_restore_without_room(place, server.directory(), needed, takers=server.biggest)
            made = server.make_missing_accounts(snapshot.globals_sql)
            restored = {}
            for part in snapshot.parts:
                restored[part.name] = server.rehearse(part, self._open(snapshot, part))
                lines.append(f"{part.name}: {part.total} rows in {len(part.counts)} tables, as in the snapshot")
            lines += server.give_rights(snapshot.globals_sql, made)
            lines += asserted(server, restored, self.policy.assertions)
        return tuple(lines)

    def _redis(self, snapshot: Snapshot) -> tuple[str, ...]:
        password, part = redis_password(self._service), snapshot.parts[0]
        server, context = self.storage.server, self._context
        with self._throw_away() as place:
            redis.Server(place, password).await_loaded()
            home = redis.set_aside(place, password, "drill")
            server.engine.perform(StopReplica(service=place.service, slot=place.slot, grace=30.0), context)
            redis.put_back(place, self._open(snapshot, part), part.size, home)
            server.engine.perform(RestartReplica(service=place.service, slot=place.slot), context)
            loaded = redis.Server(place, password).await_loaded()
            told = redis.came_back(loaded, part.total, lambda found: _keys_differ(snapshot, found))
        return (f"{told}, as in the snapshot",)

    def _read_through(self, snapshot: Snapshot, part: Part) -> str:
        """Files and outputs: every byte is read back, and archives are taken apart."""
        reader, size = TarReader(), 0
        with self._open(snapshot, part) as source:
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                if part.target:
                    reader.feed(chunk)
        if size != part.size or (part.counts and (("files", reader.files), ("bytes", reader.size)) != part.counts):
            raise FailedError(_content_differs(snapshot, part))
        return f"{part.name}: {size} bytes read back, {reader.files} files"

    @contextlib.contextmanager
    def _throw_away(self) -> Iterator[ThrowAwayPlace]:
        """A replica of the same image and settings, without network, without the app's data, gone at the end."""
        engine, context, service = self.storage.server.engine, self._context, self._stripped
        try:
            engine.perform(StartReplica(service=service, slot=1), context)
            yield throw_away(self.storage.server, context.instance, service.name, service.name)
        finally:
            engine.perform(StopReplica(service=service.name, slot=1, grace=10.0), context)
            engine.perform(RemoveReplica(service=service.name, slot=1), context)

    def _open(self, snapshot: Snapshot, part: Part) -> contextlib.AbstractContextManager[BinaryIO]:
        return OpenPart(self.storage.repository(snapshot.repository)).part(snapshot, part)

    @property
    def _context(self) -> Context:
        project: Project = self.intent.project
        return Context(instance=f"{self.intent.app.instance}-drill", release=0, project=project)

    @property
    def _service(self) -> Service:
        return self.intent.project.service(self.policy.service)

    @property
    def _stripped(self) -> Service:
        settings = tuple(
            mount
            for mount in self._service.mounts
            if mount.kind is MountKind.BIND and mount.read_only and not mount.target.startswith(_INIT_SCRIPTS)
        )
        return replace(
            self._service, mounts=settings, networks=(), network_mode="none", ports=(), needs=(), replicas=1,
            container_name=None, labels=(), restart=replace(self._service.restart, policy="no"),
        )  # fmt: skip


def _keys_differ(snapshot: Snapshot, found: int) -> Problem:
    return Problem(
        summary=f"the throw-away Redis holds {found} keys, the snapshot held {snapshot.parts[0].total}",
        hint="take a fresh backup and drill again; `havre backup check --read 100%` finds damage in the repository",
        code="restore-differs",
    )


def _content_differs(snapshot: Snapshot, part: Part) -> Problem:
    return Problem(
        summary=f"{part.name} of {snapshot.id} is not what was stored",
        hint="`havre backup check --read 100%` finds damage in the repository",
        code="restore-differs",
    )


def _did_not_start(place: ThrowAwayPlace) -> Problem:
    return Problem(
        summary=f"{place.name} did not start within {show_seconds(START_LIMIT)}",
        evidence=place.last_words(),
        hint="its own words are above: its image may need settings that only the app's network or files give",
        code="drill-start",
    )


def _with(report: DrillReport) -> str:
    return "" if report.snapshot == NO_SNAPSHOT else f" with {report.snapshot}"


def _not_passed(report: DrillReport) -> Problem:
    return Problem(
        summary=f"the restore drill of {report.service}{_with(report)} FAILED",
        subject=report.instance,
        evidence=tuple(line for text in report.lines for line in text.splitlines()),
        hint="correct what is named above and drill again: until then, do not count on this backup",
        code="drill-failed",
    )
