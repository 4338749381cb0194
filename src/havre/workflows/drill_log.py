"""The drill of point-in-time recovery: the newest base backup and its log, replayed by a server that nobody sees.

What a lost server would have is proven: the repository alone, nothing of what still lies on this server's disk.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from havre.backups import postgres
from havre.backups.pg_databases import PostgresDatabases
from havre.backups.wal import base_for, shipments_for
from havre.backups.wal_book import WalBook
from havre.engines.base import Context
from havre.errors import FailedError, Problem
from havre.host import clock
from havre.model.backup import BackupPolicy
from havre.model.pitr import Archive, Base
from havre.model.plan import CreateVolume, RemoveVolume
from havre.model.project import Mount, MountKind, Service, Volume
from havre.workflows.rehearsal import Rehearsal, asserted
from havre.workflows.replay import Workshop
from havre.workflows.server import Server
from havre.workflows.storage import Storage


def newest_log(storage: Storage, policy: BackupPolicy, service: Service, context: Context, instance: str) -> Rehearsal:
    """The newest that the log in the repository can bring back; raises FailedError when nothing is kept yet.

    `service` is the database as it runs, `context` where its throw-away replica does.
    """
    archive = WalBook(storage.server.state.backups).read(instance, service.name)
    if (base := base_for(archive, None)) is None:
        raise FailedError(_nothing_kept(service.name))
    workshop = Workshop(storage.server, storage.repository(base.repository), context, service, clock.stamp(clock.now()))
    until = max((shipment.until for shipment in shipments_for(archive, base)), default=base.ended)
    drill = _LogDrill(storage.server, workshop, archive, base, policy)
    return Rehearsal(name=base.id, shown=f"{base.id} and its log", taken_at=until, restore=drill.run)


@dataclass(frozen=True, slots=True)
class _LogDrill:
    """One replay in a volume of its own."""

    server: Server
    workshop: Workshop
    archive: Archive
    base: Base
    policy: BackupPolicy

    def run(self) -> tuple[str, ...]:
        """Replay, compare how far it came with what was shipped, ask the assertions."""
        with self._volumes() as service:
            workshop = replace(self.workshop, live=service)
            try:
                workshop.stage(self.base, None, self.archive)
                found = workshop.replay(None, self.archive, self.base)
                server = PostgresDatabases(workshop.place)
                wanted = self.policy.databases or postgres.used_databases(workshop.place)
                last = clock.show_time(found.last_commit or self.base.ended)
                return (
                    "the base's files have the checksums of its manifest",
                    f"its log is whole; last transaction: {last}",
                    f"every database answers: {', '.join(found.databases)}",
                    *asserted(server, {name: name for name in wanted}, self.policy.assertions),
                )
            finally:
                workshop.remove()

    @contextlib.contextmanager
    def _volumes(self) -> Iterator[Service]:
        """The database with an empty volume in each place where it keeps data, gone at the end."""
        live, engine, context = self.workshop.live, self.server.engine, self.workshop.context
        targets = [mount.target for mount in live.stateful_mounts] or [_DATA]
        names = [f"{context.instance}_{live.name}-{number}" for number in range(len(targets))]
        fresh = [
            Mount(kind=MountKind.VOLUME, source=name, target=target)
            for name, target in zip(names, targets, strict=True)
        ]
        self.workshop.end()  # what a drill that was killed left would be in the way
        for name in names:
            engine.perform(RemoveVolume(name=name), context)
            engine.perform(CreateVolume(volume=Volume(key=name, name=name)), context)
        try:
            kept = tuple(mount for mount in live.mounts if not mount.keeps_data)
            yield replace(live, mounts=(*kept, *fresh))
        finally:
            for name in names:
                engine.perform(RemoveVolume(name=name), context)


_DATA = "/var/lib/postgresql/data"


def _nothing_kept(service: str) -> Problem:
    return Problem(
        summary=f"nothing of the log of {service} can be restored yet",
        subject=service,
        hint="run `havre backup wal`, which takes the first base backup, then drill again",
        code="moment-not-kept",
    )
