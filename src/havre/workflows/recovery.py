"""Point-in-time recovery: a base backup replayed beside the live data up to a moment, proven, then swapped.

Until the swap nothing of the live server is touched, and what was live is kept beside what was recovered.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import BinaryIO

from havre.backups import postgres
from havre.backups.choosing import policies_for
from havre.backups.pgarchive import ArchiveReader
from havre.backups.place import command_failed
from havre.backups.wal import base_for, windows
from havre.engines.base import Context
from havre.errors import FailedError, HavreError, InputError, Problem
from havre.host import clock
from havre.host.locks import exclusive
from havre.host.piping import written
from havre.model.backup import BackupPolicy, Part
from havre.model.backup_kinds import kind_named
from havre.model.observed import ObservedReplica
from havre.model.pitr import Archive, Base
from havre.model.plan import RestartReplica, StopReplica
from havre.model.project import Service
from havre.workflows.execute import Cancellation
from havre.workflows.holding import requests_held
from havre.workflows.intent import Intent
from havre.workflows.places import database_grace, never_deployed, place_of
from havre.workflows.prove import prove
from havre.workflows.receiver import spool_of
from havre.workflows.release_work import note
from havre.workflows.replay import Replayed, Workshop
from havre.workflows.restore_files import name_taken
from havre.workflows.storage import Storage
from havre.workflows.wal import Keeper, keep_wal, wal_lock

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What was recovered: `at` is the moment asked for (None: the newest there was)."""

    service: str
    base: str
    at: float | None
    last_commit: float | None
    into: tuple[str, ...]
    kept: tuple[str, ...]
    verified: tuple[str, ...]
    seconds: float

    @property
    def source(self) -> str:
        """`db from db-base-20261120-020000 and its log`."""
        return f"{self.service} from {self.base} and its log"


def recover_to(
    storage: Storage, intent: Intent, service: str, at: float | None, *, to: str | None = None, only: str | None = None,
    progress: Progress = lambda _: None,
) -> Recovered:  # fmt: skip
    """Bring a server back as it was at `at` (None: as new as can be had), or one database of it under the name `to`.

    `only` says which one where the server has several.

    Raises InputError when that moment is not kept, FailedError when anything cannot be proven; then what was live
    is still live.
    """
    instance, started = storage.server.state.lock(intent.app.instance), clock.elapsed()
    with exclusive(instance, what=f"the instance {intent.app.instance}", doing=f"restore of {service}"):
        one = _One(storage, intent, service, at, progress, only)
        action = f"restore {service} to {'the newest' if at is None else clock.show_time(at)}"
        try:
            done = replace(one.run(to), seconds=clock.elapsed() - started)
        except HavreError as error:
            note(storage.server, intent.app.instance, action, f"failed: {error.problems[0].summary}")
            raise
        note(storage.server, intent.app.instance, action, f"verified and in use; kept {', '.join(done.kept)}")
    if to is None and one.keeper.policy.pitr is not None:
        progress("a new base backup, so that the restored server is kept too")
        keep_wal(storage, intent, [service], progress=progress)
    return done


@dataclass(frozen=True, slots=True)
class _One:
    """The recovery of one service."""

    storage: Storage
    intent: Intent
    service: str
    at: float | None
    progress: Progress
    only: str | None = None

    def run(self, to: str | None) -> Recovered:
        """Choose, stage, replay, prove; then swap, or copy one database."""
        with wal_lock(self.storage, self._instance), ThreadPoolExecutor(max_workers=1) as aside:
            known = self.keeper.archive
            newest = aside.submit(self._newest_archive).result
            base = base_for(known, self.at) or self._chosen(newest())
            workshop = self._workshop(base)
            with ExitStack() as left:
                left.callback(workshop.remove)
                self.progress(f"putting {base.id} and its log beside the live data")
                spool = spool_of(self.storage.server, self._instance, self.service) / base.chain.id
                workshop.stage(base, self.at, known, newest=newest, spool=spool)
                replayed = workshop.replay(self.at, newest(), base)
                self.progress(f"replayed to {_shown(replayed.last_commit, base)}; every database answers")
                if to is not None:
                    database = self._copy(workshop, to)
                    return self._done(base, replayed, into=(database,))
                self._swap(workshop)
                left.pop_all()
            return self._done(base, replayed, into=replayed.databases, kept=(workshop.kept,))

    @property
    def keeper(self) -> Keeper:
        """What keeps this service's log."""
        policy = policies_for(self.intent.app, self.intent.project, [self.service])[0]
        return Keeper(self.storage, self.intent, policy, self.progress)

    def _newest_archive(self) -> Archive:
        """With all that the live server has written until now, where it can still be asked."""
        with suppress(HavreError):
            self.keeper.catch_up()
        return self.keeper.archive

    def _chosen(self, archive: Archive) -> Base:
        base = base_for(archive, self.at)
        if base is None:
            raise InputError(_outside(self._service, self.at, archive, self.keeper.policy))
        return base

    def _copy(self, workshop: Workshop, to: str) -> str:
        """One database, as a dump streamed from the throw-away server into the live one, its rows compared."""
        wanted = self.keeper.policy.databases or postgres.used_databases(workshop.place)
        wanted = tuple(name for name in wanted if self.only in (None, name)) or wanted
        if len(wanted) != 1:
            raise InputError(_several(self.service, wanted))
        live = place_of(self.storage.server, self._instance, self.service)
        if postgres.exists(live, to):
            raise InputError(name_taken("database", to))
        reader, database = ArchiveReader(), postgres.connection(wanted[0])
        command = postgres.owner("pg_dump", "-Fc", "-Z0", "--no-password", "-d", database)

        def dump(sink: BinaryIO) -> None:
            done = workshop.place.stream(command, stdout=_Looked(reader, sink), bulk=True)
            if done.exit_code != 0:
                raise FailedError(command_failed(workshop.place, command, done.exit_code, done.complaints))

        postgres.restore_into(live, to, Part(name=wanted[0], file=""), written(dump), reader.finish)
        return to

    def _swap(self, workshop: Workshop) -> None:
        """The live server stops for the time of a few renames."""
        server, live = self.storage.server, self._live_replica()
        self.keeper.end_chain(f"restored to {'the newest' if self.at is None else clock.show_time(self.at)}")
        workshop.finish()
        with requests_held(server.traffic, self._instance):
            self._restarted(live, workshop.swap)
            try:
                prove(server.engine, self._service, live.slot, self._context, Cancellation())
            except HavreError:
                self._restarted(live, workshop.swap_back)
                raise
        self.progress(f"swapped; what was live is kept as {workshop.kept} in the data directory")

    def _restarted(self, live: ObservedReplica, change: Callable[[], None]) -> None:
        """The live server stands still for the change, and runs again however it ends."""
        engine = self.storage.server.engine
        stop = StopReplica(service=self.service, slot=live.slot, grace=database_grace(self._service))
        engine.perform(stop, self._context)
        try:
            change()
        finally:
            engine.perform(RestartReplica(service=self.service, slot=live.slot), self._context)

    def _live_replica(self) -> ObservedReplica:
        """The replica whose data it is, running or not: it may be here because it cannot start any more."""
        found = self.storage.server.engine.observe(self._instance).of_service(self.service)
        if not found:
            raise FailedError(never_deployed(self._instance, self.service))
        return found[0]

    def _workshop(self, base: Base) -> Workshop:
        self._live_replica()
        return Workshop(
            self.storage.server, self.storage.repository(base.repository), self._context, self._service,
            clock.stamp(clock.now()),
        )  # fmt: skip

    def _done(self, base: Base, replayed: Replayed, *, into: tuple[str, ...], kept: tuple[str, ...] = ()) -> Recovered:
        checks = ("the base's files have the checksums of its manifest", "the log was replayed without a gap")
        return Recovered(
            service=self.service, base=base.id, at=self.at, last_commit=replayed.last_commit, into=into, kept=kept,
            verified=(*checks, f"last transaction: {_shown(replayed.last_commit, base)}"), seconds=0.0,
        )  # fmt: skip

    @property
    def _context(self) -> Context:
        return Context(instance=self._instance, release=0, project=self.intent.project)

    @property
    def _instance(self) -> str:
        return self.intent.app.instance

    @property
    def _service(self) -> Service:
        return self.intent.project.service(self.service)


@dataclass(frozen=True, slots=True)
class _Looked:
    """Hands everything on, and to a reader."""

    reader: ArchiveReader
    sink: BinaryIO

    def write(self, piece: bytes) -> int:
        self.reader.feed(piece)
        return self.sink.write(piece)


def _shown(at: float | None, base: Base) -> str:
    return clock.show_time(base.ended if at is None else at)


def _outside(service: Service, at: float | None, archive: Archive, policy: BackupPolicy) -> Problem:
    found = windows(archive)
    spans = tuple(f"{clock.show_time(one.since)} to {clock.show_time(one.until)}" for one in found)
    what = "its newest state" if at is None else clock.show_time(at)
    return Problem(
        summary=f"{service.name} cannot be restored to {what}: that is not kept",
        evidence=tuple(f"kept: {span}" for span in spans) or ("nothing is kept yet",),
        effect="nothing was changed",
        hint="choose a moment of those, or a snapshot (`havre backup list`)" if spans else _to_keep(service, policy),
        code="moment-not-kept",
    )


def _to_keep(service: Service, policy: BackupPolicy) -> str:
    """What must be done before any moment of it can be restored."""
    if (kind := kind_named(policy, service.image)) != "postgres":
        return (
            f"only PostgreSQL's moments are kept, and it is backed up as {kind}: leave out --at for its newest snapshot"
        )
    first = "" if policy.pitr else f"add `pitr: true` under `backups.{service.name}`, then "
    return f"{first}`havre backup wal` takes the first base backup; snapshots: `havre backup list`"


def _several(service: str, names: tuple[str, ...]) -> Problem:
    return Problem(
        summary=f"--to needs one database, and {service} has {len(names)}: {', '.join(names)}",
        effect="nothing was changed",
        hint="say which with --only NAME, or restore without --to",
        code="restore-to",
    )
