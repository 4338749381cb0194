"""The receiver: a replica beside the database that streams its log to this server's disk, byte by byte.

It is pg_receivewal of the database's own image, run by the same engine as the app, which starts it again when it ends.
What the engine cannot see (the database was replaced, its network is another one) the next command mends: `ensure`.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from havre.backups.postgres import owner
from havre.engines.base import Companions, Context, LogQuery
from havre.errors import Problem, RefusedError
from havre.host.files import private_directory
from havre.model.observed import ObservedReplica
from havre.model.pitr import Chain
from havre.model.plan import RemoveReplica, StartReplica, StopReplica
from havre.model.project import Mount, MountKind, Project, Resources, Restart, Service
from havre.workflows.server import Server

SPOOL = "/havre-wal"
"""Where the receiver writes, as it sees it."""
_PATIENCE = 20
"""Seconds it tries by itself to reach the database again, before it ends and is started anew by the engine."""
_RECEIVE = f"""
size="$1"
shift
trap 'kill "$receiver" 2>/dev/null; exit 0' TERM INT
tried=0
while [ "$tried" -lt {_PATIENCE} ]; do
    began=$(date +%s)
    for file in {SPOOL}/*.partial; do
        [ ! -s "$file" ] || [ "$(wc -c < "$file")" -eq "$size" ] || : > "$file"
    done
    "$@" &
    receiver=$!
    wait "$receiver"
    [ "$(($(date +%s) - began))" -gt 5 ] && tried=0
    tried=$((tried + 1))
    sleep 1
done
exit 1
"""
"""A file that a full disk let it prepare by half (it holds zeros only) makes pg_receivewal refuse for ever."""


class Receiver:
    """The receiver of one service of an instance."""

    def __init__(self, server: Server, project: Project, instance: str, service: Service) -> None:
        self._server = server
        self._service = service
        self._instance = instance
        self._project = project

    def spool(self, chain: Chain) -> Path:
        """The files of the log that are on this server."""
        return spool_of(self._server, self._instance, self._service.name) / chain.id

    def ensure(self, chain: Chain, database: ObservedReplica) -> bool:
        """Run it for this chain and this replica of the database; True when it had to be started."""
        wanted = self._made(chain, database)
        fingerprint = hashlib.sha256(repr((wanted, database.id, database.started_at)).encode()).hexdigest()[:16]
        found = self._found()
        if found is not None and found.is_running and found.fingerprint == fingerprint:
            return False
        self.stop()
        private_directory(self.spool(chain).parent)
        self.spool(chain).mkdir(exist_ok=True)
        self.spool(chain).chmod(0o777)  # whoever the image runs as; only the receiver's mount leads here
        step = StartReplica(service=wanted, slot=1, fingerprint=fingerprint)
        self._server.engine.perform(step, self._context)
        return True

    def stop(self) -> None:
        """End it; what it has written stays."""
        if self._found() is not None:
            name = self._service.name
            self._server.engine.perform(StopReplica(service=name, slot=1, grace=10.0), self._context)
            self._server.engine.perform(RemoveReplica(service=name, slot=1), self._context)

    @property
    def is_running(self) -> bool:
        """True while its process runs."""
        found = self._found()
        return found is not None and found.is_running

    def last_words(self) -> tuple[str, ...]:
        """The end of what it said."""
        query = LogQuery(services=(self._service.name,), tail=4)
        return tuple(line.text for line in self._server.engine.logs(self._context.instance, query))[-4:]

    def _found(self) -> ObservedReplica | None:
        found = self._server.engine.observe(self._context.instance).of_service(self._service.name)
        return next(iter(found), None)

    @property
    def _context(self) -> Context:
        return Context(instance=receivers_of(self._instance), release=0, project=self._project)

    def _made(self, chain: Chain, database: ObservedReplica) -> Service:
        network, host = _companions(self._server).beside(self._instance, self._service.name, database.slot)
        receive = owner("pg_receivewal", "-D", SPOOL, "-S", chain.slot, "-s", "1", "--no-loop", "--no-password")
        spool = Mount(kind=MountKind.BIND, source=str(self.spool(chain)), target=SPOOL)
        script = ("sh", "-c", _RECEIVE, "havre-receiver", str(chain.segment))
        return replace(
            self._service, entrypoint=script, command=receive, mounts=(*_settings(self._service), spool),
            networks=(), network_mode=network, ports=(), needs=(), replicas=1, container_name=None, labels=(),
            health=None, health_disabled=True, hostname=None, user=_user(), stop_signal="SIGTERM", options=(),
            environment=(*self._service.environment, ("PGHOST", host)), resources=Resources(), sysctls=(),
            extra_hosts=(), dns=(), dns_search=(), dns_opt=(), restart=Restart(policy="unless-stopped"),
        )  # fmt: skip


def receivers_of(instance: str) -> str:
    """The name under which the receivers of an instance run: no app can be called that."""
    return f"{instance}.wal"


def spool_of(server: Server, instance: str, service: str) -> Path:
    """Where the log of a service waits on this server."""
    return server.state.backups / "wal" / instance / service


def end_receivers(server: Server, instance: str) -> None:
    """End all receivers of an instance, as its databases go."""
    context = Context(instance=receivers_of(instance), release=0, project=Project(name=instance))
    for replica in server.engine.observe(context.instance).replicas:
        server.engine.perform(StopReplica(service=replica.service, slot=replica.slot, grace=10.0), context)
        server.engine.perform(RemoveReplica(service=replica.service, slot=replica.slot), context)


def _settings(service: Service) -> tuple[Mount, ...]:
    """What the image may read its password from."""
    return tuple(mount for mount in service.mounts if mount.kind is MountKind.BIND and mount.read_only)


def _user() -> str:
    return "0" if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"


def _companions(server: Server) -> Companions:
    engine: object = server.engine
    if isinstance(engine, Companions):
        return engine
    raise RefusedError(
        Problem(
            summary=f"the {server.engine.name} engine cannot run a receiver beside a database",
            hint="remove `pitr` from the backup, or use the docker or the process engine",
            code="engine-no-receiver",
        )
    )


def not_received(receiver: Receiver) -> Problem:
    """It runs or it does not, but the database sends it nothing."""
    return Problem(
        summary="the log of the database is not being received",
        evidence=receiver.last_words(),
        effect="the database keeps it meanwhile, up to `limit`; nothing is lost yet",
        hint="correct what pg_receivewal says above, then run `havre backup wal`",
        code="wal-not-received",
    )
