"""Restore: beside the live data, verified, and only then taken into use; what was live is kept until told otherwise."""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from havre.backups import redis
from havre.backups.choosing import databases_at, kind_of, policies_for, redis_password
from havre.backups.place import Collected, command_failed
from havre.backups.reading import OpenPart
from havre.backups.repository import Repository
from havre.errors import FailedError, HavreError, InputError, Problem
from havre.host import clock
from havre.host.locks import exclusive
from havre.model.backup import Part, Snapshot
from havre.model.backup_kinds import DATABASE_KINDS
from havre.model.project import Service
from havre.workflows.backup import back_up
from havre.workflows.intent import Intent
from havre.workflows.places import database_grace, place_of, standing_still
from havre.workflows.release_work import note
from havre.workflows.restore_databases import RestoredDatabases
from havre.workflows.restore_files import Files
from havre.workflows.room import refuse_restore_without_room
from havre.workflows.storage import Storage
from havre.workflows.which_snapshot import chosen_snapshot

Progress = Callable[[str], None]
_LONGEST = 63
"""Bytes: PostgreSQL cuts longer names, MySQL refuses them from 65 on."""
_REDIS_COPIES = 3
"""The file from before, the new one, and the new one as append-only file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was restored, what was verified, and where the data that was live before is kept."""

    snapshot: Snapshot
    into: tuple[str, ...]
    kept: tuple[str, ...]
    verified: tuple[str, ...]
    seconds: float

    @property
    def source(self) -> str:
        """`db from db-20261120-020000`."""
        return f"{self.snapshot.service} from {self.snapshot.id}"


def restore(
    storage: Storage, intent: Intent, service: str, snapshot_id: str | None = None, *, to: str | None = None,
    only: Collection[str] = (), doubtful: bool = False, progress: Progress = lambda _: None,
) -> Restored:  # fmt: skip
    """Restore one service from a snapshot (the newest good one), or one database or volume of it beside the live one.

    With `only` the rest of the snapshot stays where it is; `to` is the name of the database or volume beside.

    Raises FailedError when anything cannot be restored or verified; then what was live is still live.
    """
    snapshot = chosen_snapshot(
        storage.book.snapshots(intent.app.instance), intent.app.instance, service, snapshot_id, doubtful=doubtful
    )
    one = _One(storage=storage, intent=intent, snapshot=_with_only(snapshot, only), progress=progress)
    lock = storage.server.state.lock(intent.app.instance)
    with exclusive(lock, what=f"the instance {intent.app.instance}", doing=f"restore of {service}"):
        started, action = clock.elapsed(), f"restore {service} from {snapshot.id}"
        try:
            done = replace(one.run(to), seconds=clock.elapsed() - started)
        except HavreError as error:
            note(storage.server, intent.app.instance, action, f"failed: {error.problems[0].summary}")
            raise
        kept = f"; kept {', '.join(done.kept)}" if done.kept else ""
        note(storage.server, intent.app.instance, action, f"verified and in use{kept}" if to is None else f"as {to}")
        return done


def _with_only(snapshot: Snapshot, names: Collection[str]) -> Snapshot:
    present = [part.name for part in snapshot.parts]
    if missing := [name for name in names if name not in present]:
        raise InputError(_no_part(snapshot, missing, present))
    return replace(snapshot, parts=tuple(part for part in snapshot.parts if not names or part.name in names))


@dataclass(frozen=True, slots=True, kw_only=True)
class _One:
    """The restore of one service."""

    storage: Storage
    intent: Intent
    snapshot: Snapshot
    progress: Progress

    def run(self, to: str | None) -> Restored:
        """By kind."""
        if to is not None and self.snapshot.kind not in (*DATABASE_KINDS, "volume"):
            raise InputError(_not_beside(self.snapshot, self.storage.repository(self.snapshot.repository)))
        if to is not None and not 0 < len(to.encode()) <= _LONGEST:
            raise InputError(_no_name(to))
        if self.snapshot.kind in DATABASE_KINDS:
            return self._databases(to)
        match self.snapshot.kind:
            case "redis":
                return self._redis()
            case "volume":
                return self._directories(to)
            case _:
                return self._command()

    # -- databases -------------------------------------------------------------------------------------------------

    def _databases(self, to: str | None) -> Restored:
        if to is not None:
            self._refuse_several()
        place = place_of(self.storage.server, self._instance, self.snapshot.service)
        one = RestoredDatabases(
            server=self.storage.server, instance=self._instance, place=place, snapshot=self.snapshot, open=self._open,
            databases=databases_at(self.snapshot.kind, place, self.storage.server.state.backups),
            progress=self.progress,
        )  # fmt: skip
        lines = tuple(f"{part.name}: {part.total} rows in {len(part.counts)} tables" for part in self.snapshot.parts)
        if to is not None:
            one.beside(to)
            return self._restored((to,), (), lines)
        kept = one.replace_live()
        return self._restored(tuple(part.name for part in self.snapshot.parts), kept, lines)

    def _refuse_several(self) -> None:
        if len(self.snapshot.parts) != 1:
            raise InputError(_several(self.snapshot))

    # -- Redis -----------------------------------------------------------------------------------------------------

    def _redis(self) -> Restored:
        service, part = self._service, self.snapshot.parts[0]
        password, mark = redis_password(service), f"before-{clock.stamp(clock.now())}"
        homes: list[redis.Home] = []

        def prepare() -> None:
            place = place_of(self.storage.server, self._instance, service.name)
            directory = redis.Server(place, password).directory
            refuse_restore_without_room(place, directory, part.size * _REDIS_COPIES)
            homes.append(redis.set_aside(place, password, mark))

        server = self.storage.server
        with standing_still(
            server, self.intent.project, self._instance, [service], before_stop=prepare, grace=database_grace,
            progress=self.progress,
        ) as place:  # fmt: skip
            redis.put_back(place, self._open(part), part.size, homes[0])
        loaded = redis.Server(place_of(server, self._instance, service.name), password).await_loaded()
        directory = homes[0].directory
        told = redis.came_back(loaded, part.total, lambda found: _keys_differ(self.snapshot, found, directory, mark))
        return self._restored((service.name,), (f"{directory}/*.{mark}",), (told,))

    # -- directories and commands ----------------------------------------------------------------------------------

    def _directories(self, to: str | None) -> Restored:
        place, mark = place_of(self.storage.server, self._instance, self._service.name), clock.stamp(clock.now())
        files = Files(
            server=self.storage.server, project=self.intent.project, instance=self._instance, service=self._service,
            parts=self.snapshot.parts, open=self._open, mark=mark, progress=self.progress,
        )  # fmt: skip
        for part in self.snapshot.parts:
            refuse_restore_without_room(place, part.target, part.size)
        lines = tuple(f"{part.target}: {dict(part.counts)['files']} files" for part in self.snapshot.parts)
        if to is not None:
            self._refuse_several()
            files.into_volume(to)
            return self._restored((to,), (), lines)
        before = back_up(
            self.storage, self.intent, [self.snapshot.service], purpose="before-restore", progress=self.progress
        )
        files.swap_in()
        into = tuple(part.target for part in self.snapshot.parts)
        return self._restored(into, tuple(one.id for one in before), lines)

    def _command(self) -> Restored:
        policy = policies_for(self.intent.app, self.intent.project, [self.snapshot.service])[0]
        if policy.restore_command is None:
            raise InputError(_no_command(self.snapshot))
        [part] = self.snapshot.parts
        place = place_of(self.storage.server, self._instance, self.snapshot.service)
        with self._open(part) as source:
            if part.target:
                place.write_files(posixpath.dirname(part.target.rstrip("/")) or "/", source)
            stdin = None if part.target else source
            done = place.stream(policy.restore_command, stdout=Collected(), stdin=stdin)
            if done.exit_code != 0:
                raise FailedError(command_failed(place, policy.restore_command, done.exit_code, done.complaints))
        return self._restored((self.snapshot.service,), (), ("the restore command ended with 0",))

    # -- all -------------------------------------------------------------------------------------------------------

    def _open(self, part: Part) -> contextlib.AbstractContextManager[BinaryIO]:
        repository = self.storage.repository(self.snapshot.repository)
        return OpenPart(repository).part(self.snapshot, part)

    def _restored(self, into: tuple[str, ...], kept: tuple[str, ...], verified: tuple[str, ...]) -> Restored:
        return Restored(snapshot=self.snapshot, into=into, kept=kept, verified=verified, seconds=0.0)

    @property
    def _instance(self) -> str:
        return self.intent.app.instance

    @property
    def _service(self) -> Service:
        return self.intent.project.service(self.snapshot.service)


def drop_kept(storage: Storage, intent: Intent, service: str) -> tuple[str, ...]:
    """Remove the databases, data directories or files that restores of this service kept; returns their names."""
    [policy] = policies_for(intent.app, intent.project, [service])
    source = intent.project.service(service)
    kind, place = kind_of(source, policy), place_of(storage.server, intent.app.instance, service)
    if kind.name == "redis":
        return redis.drop_kept(place, redis_password(source))
    if kind.name not in DATABASE_KINDS:
        return ()
    return databases_at(kind.name, place, storage.server.state.backups).drop_kept()


def _no_part(snapshot: Snapshot, missing: Sequence[str], present: Sequence[str]) -> Problem:
    return Problem(
        summary=f"{snapshot.id} does not hold {', '.join(missing)}",
        evidence=(f"it holds: {', '.join(present)}",),
        hint="give --only one of these names",
        code="restore-only",
    )


def _not_beside(snapshot: Snapshot, repository: Repository) -> Problem:
    part = snapshot.parts[0]
    return Problem(
        summary=f"--to names a database or a volume, and {snapshot.service} is backed up as {snapshot.kind}",
        hint=f"restore without --to, or have the file alone: {repository.by_hand(part.restic, part.file)}",
        code="restore-to",
    )


def _several(snapshot: Snapshot) -> Problem:
    names = ", ".join(part.name for part in snapshot.parts)
    return Problem(
        summary=f"--to needs one database or volume, and {snapshot.id} holds several: {names}",
        hint="say which with --only NAME, or restore all of them without --to",
        code="restore-to",
    )


def _no_name(to: str) -> Problem:
    return Problem(
        summary=f"`{to}` can be the name of no database or volume",
        evidence=(f"it has {len(to.encode())} bytes, a name 1 to {_LONGEST}",),
        effect="nothing was changed",
        hint="give --to another name",
        code="restore-to",
    )


def _keys_differ(snapshot: Snapshot, found: int, directory: str, mark: str) -> Problem:
    return Problem(
        summary=f"{snapshot.service} holds {found} keys after the restore, the snapshot held {snapshot.parts[0].total}",
        hint=f"`havre restore {snapshot.service}` tries it once more; the files from before are {directory}/*.{mark}",
        code="restore-differs",
    )


def _no_command(snapshot: Snapshot) -> Problem:
    return Problem(
        summary=f"nothing says how to put the output of {snapshot.service}'s command back",
        hint="give `restore_command` under `backups:` in havre.yaml; it reads what is stored from stdin or `directory`",
        code="restore-command",
    )
