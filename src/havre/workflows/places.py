"""A replica as backups see it, over whatever engine runs it; and a service that stands still while it is copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from havre.backups.feeding import Writable
from havre.backups.place import Answer, Collected, Environment
from havre.engines.base import Context, DataAccess
from havre.errors import FailedError, Problem, RefusedError
from havre.model.backup import Streamed
from havre.model.observed import ObservedReplica
from havre.model.plan import RestartReplica, StopReplica
from havre.model.project import Project, Service
from havre.workflows.execute import Cancellation
from havre.workflows.prove import prove
from havre.workflows.server import Server

SILENCE = 1800.0
"""Seconds without a byte after which a dump or a restore is given up: an index may take long to build."""


@dataclass(frozen=True, slots=True)
class ReplicaPlace:
    """One replica of a service on an engine that can stream."""

    engine: DataAccess
    instance: str
    service: str
    slot: int

    @property
    def name(self) -> str:
        """`postgres.1`."""
        return f"{self.service}.{self.slot}"

    def ask(self, command: Sequence[str], *, environment: Environment = (), stdin: BinaryIO | None = None) -> Answer:
        """A short command; stdout alone, because it is read as data."""
        output = Collected()
        done = self.stream(command, stdout=output, stdin=stdin, environment=environment)
        return Answer(exit_code=done.exit_code, output=output.text, complaints=done.complaints)

    def stream(
        self, command: Sequence[str], *, stdout: Writable, stdin: BinaryIO | None = None, environment: Environment = ()
    ) -> Streamed:
        """A command of any output and input."""
        return self.engine.stream(
            self.instance, self.service, self.slot, command, stdin=stdin, stdout=cast("BinaryIO", stdout),
            environment=environment, timeout=SILENCE,
        )  # fmt: skip

    def read_files(self, path: str, sink: Writable) -> None:
        """A directory as a tar stream."""
        self.engine.read_files(self.instance, self.service, self.slot, path, cast("BinaryIO", sink))

    def write_files(self, path: str, source: BinaryIO) -> None:
        """Unpack a tar stream."""
        self.engine.write_files(self.instance, self.service, self.slot, path, source)


def place_of(server: Server, instance: str, service: str) -> ReplicaPlace:
    """The running replica that holds a service's data; raises FailedError when none runs."""
    replica = running_replica(server, instance, service)
    return ReplicaPlace(data_access(server), instance, service, replica.slot)


def running_replica(server: Server, instance: str, service: str) -> ObservedReplica:
    """The first running replica of a service; raises FailedError when there is none."""
    found = [replica for replica in server.engine.observe(instance).of_service(service) if replica.is_running]
    if not found:
        raise FailedError(_nothing_runs(instance, service))
    return found[0]


def data_access(server: Server) -> DataAccess:
    """The engine, where it can stream; RefusedError otherwise."""
    engine: object = server.engine
    if isinstance(engine, DataAccess):
        return engine
    raise RefusedError(_cannot_stream(server))


@contextmanager
def standing_still(
    server: Server, project: Project, instance: str, service: Service, *, before_stop: Callable[[], None] | None = None
) -> Iterator[ReplicaPlace]:
    """The service's replica, stopped for the block; requests for it are held at the edge, and it is healthy after.

    It is started again however the block ends.
    """
    place = place_of(server, instance, service.name)
    context = Context(instance=instance, release=0, project=project)
    edge = server.traffic.read(instance)
    endpoints = [endpoint for endpoint in edge.endpoints if endpoint[0] == service.name] if edge else []
    if before_stop is not None:
        before_stop()
    for name, port in endpoints:
        server.traffic.hold(instance, name, port)
    try:
        server.engine.perform(
            StopReplica(service=service.name, slot=place.slot, grace=max(service.stop_grace, 30.0)), context
        )
        try:
            yield place
        finally:
            server.engine.perform(RestartReplica(service=service.name, slot=place.slot), context)
        prove(server.engine, service, place.slot, context, Cancellation())
    finally:
        if edge is not None and endpoints:
            server.traffic.apply(edge)


def _nothing_runs(instance: str, service: str) -> Problem:
    return Problem(
        summary=f"no replica of {service} runs, so its data cannot be reached",
        subject=instance,
        hint=f"`havre ps` shows its state; `havre start {service}`, then try again",
        code="backup-source-down",
    )


def _cannot_stream(server: Server) -> Problem:
    return Problem(
        summary=f"the {server.engine.name} engine cannot hand out data yet",
        hint="run this app on the docker engine to back it up with Havre",
        code="engine-no-data",
    )
