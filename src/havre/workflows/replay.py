"""The throw-away server of a point-in-time recovery: staged beside the live data, carried to the moment, asked, ended.

stage    in the volume of the data directory, under names that pg_basebackup leaves out: the base, the log it needs
serve    a server of the same image and settings, which has waited for them, replays the log up to the moment, without
         a network, and opens
swap     by renaming: the recovered files take the place of the live ones, which stay beside them
"""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from havre.backups import postgres
from havre.backups.pg_databases import PostgresDatabases
from havre.backups.place import answered
from havre.backups.reading import OpenPart
from havre.backups.replication import BASE_FILE
from havre.backups.repository import Repository
from havre.backups.swapping import SCRIPT
from havre.backups.wal import lsn, not_among, room_for_log, segments_among, shipments_for
from havre.engines.base import Context
from havre.errors import FailedError, Problem
from havre.host import clock
from havre.host.piping import written
from havre.model.pitr import Archive, Base
from havre.model.plan import RemoveReplica, RunTask, StartReplica, StopReplica
from havre.model.project import Restart, Service
from havre.workflows.places import ThrowAwayPlace, throw_away
from havre.workflows.room import refuse_restore_without_room
from havre.workflows.server import Server
from havre.workflows.shipping import spooled

TOLERANCE = 256 * 1024
"""The server may have flushed half a record that nothing followed: replaying ends so many bytes earlier at most."""
_LIVE = f'live="${{PGDATA:-/var/lib/postgresql/data}}"; mark="$1"; shift; new="$live/{postgres.BESIDE}new-$mark"\n'
_WHERE = 'mkdir -p "$live" && printf "%s %s" "$(id -u)" "$live"'
_PREPARE = 'mkdir -m 700 "$new" "$new.wal"'
_WAIT = """
trap 'exit 0' TERM INT
until [ -e "$new.wal/go" ]; do sleep 0.1; done
trap - TERM INT
"""
_UNPACK = 'exec tar -x -f - -C "$new$1"'
_VERIFY = """
[ -e "$new/backup_manifest" ] || exit 0
command -v pg_verifybackup >/dev/null || exit 0
exec pg_verifybackup --no-parse-wal --quiet --exit-on-error "$new"
"""
_FINISH = """
cd "$new.wal"
for file in *.partial; do
    [ -e "$file" ] || continue
    [ -e "${file%.partial}" ] || mv "$file" "${file%.partial}"
done
: > "$new/recovery.signal"
if [ "$(id -u)" = 0 ]; then chown -R "$(stat -c %u:%g "$live")" "$new" "$new.wal"; fi
: > go
"""
_SERVE = """
export PGDATA="$new"
exec docker-entrypoint.sh "$@" -c "restore_command=cp '$new.wal/%f' '%p'"
"""
_SWAP = f"""
[ -e "$live/$1/PG_VERSION" ] || exit 1
set -- "$live" "$1" "$2" '{postgres.BESIDE}*'
finish() {{ rm -f postmaster.pid; }}
{SCRIPT}
rmdir "$new"
"""
_FORGET = 'rm -rf "$new.wal"'
_REMOVE = 'rm -rf "$new" "$new.wal"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """How far the throw-away server was carried, and what it holds."""

    last_commit: float | None
    """When the last transaction it replayed was committed; None when the base needed none."""
    position: int
    databases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where one recovery is made; `mark` is part of every name it leaves."""

    server: Server
    repository: Repository
    context: Context
    live: Service
    mark: str

    @property
    def kept(self) -> str:
        """Where the swap keeps what was live, below the data directory."""
        return f"{postgres.BESIDE}before-{self.mark}"

    def stage(
        self, base: Base, at: float | None, archive: Archive, *, newest: Callable[[], Archive] | None = None,
        spool: Path | None = None,
    ) -> None:  # fmt: skip
        """The base and all log that follows it, from the repository and from this server's disk, and a server on them.

        `at` is how far that server is to go. `newest` is what the archive has become when the base lies there: log may
        be brought to it meanwhile. Raises RefusedError where the disk has no room: before anything is written, or, for
        log that came meanwhile, before any of that is.
        """
        stored = _Stored(self.repository, base)
        with OpenPart(self.repository)(stored.base, BASE_FILE) as source:  # it takes a moment to begin
            self._run(_WAIT, at)
            directory = self._put_base(source, base.size + room_for_log(archive, base))
        with ThreadPoolExecutor(max_workers=1) as aside:
            verified = aside.submit(self._script, "pg_verifybackup", _VERIFY)
            if newest is not None:
                archive = newest()
                refuse_restore_without_room(
                    self.place, directory, room_for_log(archive, base), takers=PostgresDatabases(self.place).biggest
                )
            self._put_log(base, archive, stored, spool)
            verified.result()
        self._script("hand over the log", _FINISH)

    def replay(self, at: float | None, archive: Archive, base: Base) -> Replayed:
        """What was staged for `at`, proven to have come to the moment and no further; raises FailedError otherwise."""
        end = max((one.position for one in shipments_for(archive, base)), default=0)
        if self._opens():
            found = self.look()
            goal = end if at is None else base.end
        elif at is None:
            raise FailedError(_did_not_replay(self))
        else:  # no transaction was committed after the moment: then all there is, is what was asked for
            self.end()
            self._run("", None)
            if not self._opens():
                raise FailedError(_did_not_replay(self))
            found, goal = self.look(), end
        if found.position < goal - TOLERANCE or (at is not None and (found.last_commit or 0.0) > at):
            raise FailedError(_not_reached(self, found, goal))
        return found

    def look(self) -> Replayed:
        """Ask the server how far it came, and every database whether it answers."""
        asked = "SELECT pg_last_wal_replay_lsn(), extract(epoch FROM pg_last_xact_replay_timestamp())"
        position, committed = postgres.query(self.place, "template1", asked).split("\t")
        databases = postgres.databases(self.place)
        for database in databases:
            postgres.query(self.place, database, "SELECT count(*) FROM pg_class")
        return Replayed(
            last_commit=float(committed) if committed else None,
            position=lsn(position) if position else 0,
            databases=databases,
        )

    def words(self) -> tuple[str, ...]:
        """The end of what the server said."""
        return self.place.last_words()

    def end(self, *, grace: float | None = None) -> None:
        """The throw-away server goes; its files stay."""
        grace = max(self.live.stop_grace, 60.0) if grace is None else grace
        step = StopReplica(service=self._name, slot=1, grace=grace)
        self.server.engine.perform(step, self.context)
        self.server.engine.perform(RemoveReplica(service=self._name, slot=1), self.context)

    def finish(self) -> None:
        """The throw-away server goes, with the log it replayed; its files are ready to be swapped in."""
        self._script("remove the log", _FORGET)
        self.end()

    def swap(self) -> None:
        """The recovered files become the live ones, while no server runs on either; all or nothing."""
        self._task("swap", _SWAP, self._new, self.kept)

    def swap_back(self) -> None:
        """What was live is live again."""
        self._task("swap back", _SWAP, self.kept, self._new)

    def remove(self) -> None:
        """Nothing of the recovery stays."""
        self.end()
        self._task("clear up", _REMOVE)

    @property
    def _new(self) -> str:
        return f"{postgres.BESIDE}new-{self.mark}"

    @property
    def place(self) -> ThrowAwayPlace:
        """The throw-away replica."""
        return throw_away(self.server, self.context.instance, self._name, self.live.name)

    @property
    def _name(self) -> str:
        return f"{self.live.name}-recovery"

    def _put_base(self, source: BinaryIO, needed: int) -> str:
        """The data directory, with the base beside what is live; `needed` is how many bytes all of it takes."""
        user, _, directory = answered(self.place, self._shell(_WHERE, "find the data directory")).partition(" ")
        refuse_restore_without_room(self.place, directory, needed, takers=PostgresDatabases(self.place).biggest)
        self._script("make a directory beside the data", _PREPARE)
        if (
            user == "0" and not self.place.engine.feeds_directly
        ):  # owners are set after; a command would need twice as long
            self.place.write_files(f"{directory}/{self._new}", source)
        else:
            self._unpack(source, "")
        return directory

    def _put_log(self, base: Base, archive: Archive, stored: _Stored, spool: Path | None) -> None:
        here = segments_among(spooled(spool, base.chain.segment), base.chain.segment) if spool else ()
        for shipment in not_among(here, shipments_for(archive, base)):
            with tempfile.TemporaryDirectory(dir=self.server.state.backups) as fetched:
                self.repository.restore_directory(stored[shipment.id], Path(fetched))
                self._take_log(Path(fetched), base)
        if spool is not None and here:
            self._take_log(spool, base)

    def _take_log(self, directory: Path, base: Base) -> None:
        with written(lambda sink: _pack(directory, base, sink)) as source:
            self._unpack(source, ".wal")

    def _unpack(self, source: BinaryIO, where: str) -> None:
        answered(self.place, (*self._shell(_UNPACK, "tar -x"), where), stdin=source)

    def _script(self, doing: str, script: str) -> None:
        answered(self.place, self._shell("set -e\n" + script, doing))

    def _shell(self, script: str, doing: str = "havre") -> tuple[str, ...]:
        """`doing` is the script's name: what is said to have failed when it does."""
        return ("sh", "-c", _LIVE + script, doing, self.mark)

    def _task(self, title: str, script: str, *words: str) -> None:
        """Under the service's own name: where it fails, its words are kept for `havre logs --failed`."""
        entrypoint = (*self._shell(script), *words)
        task = replace(self._stripped, name=self.live.name, entrypoint=entrypoint, command=(), user="0")
        self.server.engine.perform(RunTask(service=task, command=(), title=title, timeout=3600.0), self.context)

    def _run(self, before: str, at: float | None) -> None:
        """Start a server that does `before`, then replays up to `at` (None: all there is) and opens, or ends."""
        own = self.live.command or ()
        settings = {
            "recovery_target_timeline": "current", "recovery_target_action": "promote", "listen_addresses": "",
            "archive_mode": "off", **({"recovery_target_time": _utc(at)} if at is not None else {}),
        }  # fmt: skip
        command = own if own[:1] == ("postgres",) else ("postgres",)
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        service = replace(self._stripped, entrypoint=self._shell(before + _SERVE), command=(*command, *words))
        self.server.engine.perform(StartReplica(service=service, slot=1), self.context)

    def _opens(self) -> bool:
        """Wait until the server is open; False when it ended before it got there."""
        while not self._is_open():
            if not self._is_running():
                return False
            clock.sleep(0.1)
        return True

    def _is_open(self) -> bool:
        command = postgres.owner("psql", "-X", "-q", "-A", "-t", "-d", "template1", "-c", "SELECT pg_is_in_recovery()")
        try:
            answer = self.place.ask(command)
        except FailedError:
            return False  # it does not run any more: the caller looks
        return answer.exit_code == 0 and answer.output.strip() == "f"

    def _is_running(self) -> bool:
        found = self.server.engine.observe(self.context.instance).of_service(self._name)
        return any(replica.is_running for replica in found)

    @property
    def _stripped(self) -> Service:
        """The live service's image, settings and mounts, alone: no network, no port, no other copies."""
        return replace(
            self.live, name=self._name, networks=(), network_mode="none", ports=(), needs=(), replicas=1, labels=(),
            container_name=None, hostname=None, health=None, health_disabled=True, restart=Restart(policy="no"),
        )  # fmt: skip


@dataclass(frozen=True)
class _Stored:
    """The repository's own ids of a base and of the shipments of its service."""

    repository: Repository
    of: Base

    @property
    def base(self) -> str:
        """That of the base: known where it was stored, looked up in a copy."""
        return self.of.restic if self.of.repository == self.repository.url and self.of.restic else self[self.of.id]

    def __getitem__(self, name: str) -> str:
        """That of a base or shipment; raises FailedError when it is not there."""
        if (snapshot := self._listed.get(f"backup={name}")) is None:
            raise FailedError(_not_there(name, self.repository))
        return snapshot

    @cached_property
    def _listed(self) -> Mapping[str, str]:
        found = self.repository.snapshots([f"instance={self.of.instance}", f"service={self.of.service}"])
        stored = [entry for entry in found if not any(path.endswith(".json") for path in entry.paths)]
        return {tag: entry.id for entry in stored for tag in entry.tags if tag.startswith("backup=")}


def _pack(spool: Path, base: Base, sink: BinaryIO) -> None:
    """The log in a directory from the base on; the receiver may rename the last file meanwhile."""
    with tarfile.open(fileobj=sink, mode="w|") as archive:
        for segment in segments_among(spooled(spool, base.chain.segment), base.chain.segment):
            if segment.number >= base.start // base.chain.segment:
                path = spool / segment.name
                archive.add(path if path.exists() else path.with_suffix(""), arcname=segment.name)


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(sep=" ")


def _did_not_replay(workshop: Workshop) -> Problem:
    return Problem(
        summary="the log could not be replayed",
        evidence=workshop.words(),
        effect="the live data was not touched",
        hint="the lines above are PostgreSQL's own; try a moment before or another base (`havre backup status`)",
        code="wal-replay",
    )


def _not_reached(workshop: Workshop, found: Replayed, goal: int) -> Problem:
    last = "none" if found.last_commit is None else clock.show_time(found.last_commit)
    return Problem(
        summary="the replayed server did not come to the moment that was asked for",
        evidence=(f"log position {found.position:x}, wanted {goal:x}; last transaction: {last}", *workshop.words()),
        effect="the live data was not touched",
        hint="choose another moment (`havre backup status` shows which), or restore a snapshot",
        code="wal-replay",
    )


def _not_there(name: str, repository: Repository) -> Problem:
    return Problem(
        summary=f"{name} is not in {repository.shown}",
        effect="nothing was changed",
        hint="choose another moment (`havre backup status` shows which), or restore a snapshot",
        code="wal-incomplete",
    )
