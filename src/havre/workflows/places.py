"""A replica as backups see it, over whatever engine runs it; and a service that stands still while it is copied."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO, cast

from havre.backups.choosing import runs
from havre.backups.feeding import Writable
from havre.backups.place import ENDED, OWN_WORDS, Answer, Collected, Environment
from havre.engines.base import Context, DataAccess, LogQuery
from havre.errors import FailedError, Problem, RefusedError
from havre.host import clock
from havre.model.backup import Streamed
from havre.model.images import DATABASES, known
from havre.model.observed import ObservedReplica
from havre.model.plan import RestartReplica, StopReplica
from havre.model.project import Mount, MountKind, Project, Service
from havre.model.route import AppEdge
from havre.model.units import show_seconds
from havre.workflows.execute import Cancellation
from havre.workflows.holding import callers_of, doors_closed
from havre.workflows.prove import prove
from havre.workflows.server import Server

SILENCE = 1800.0
"""Seconds without a byte after which a dump or a restore is given up: an index may take long to build."""

_LAST_WORDS = 6
DATABASE_GRACE = 30.0
"""Seconds that a database is given to write everything down, where nobody said how long: the usual ten may be too
short for its last checkpoint, and data is what it is stopped for here."""
IDLE = ("sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 0.2; done")
"""What a throw-away replica runs that is there for its files only."""


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

    @property
    def log(self) -> str:
        """`havre logs postgres`."""
        return f"havre logs {self.service}"

    def last_words(self) -> tuple[str, ...]:
        """Nothing: its log stays."""
        return ()

    def ask(self, command: Sequence[str], *, environment: Environment = (), stdin: BinaryIO | None = None) -> Answer:
        """A short command; stdout alone, because it is read as data."""
        output = Collected()
        done = self.stream(command, stdout=output, stdin=stdin, environment=environment)
        return Answer(exit_code=done.exit_code, output=output.text, complaints=done.complaints)

    def stream(
        self, command: Sequence[str], *, stdout: Writable, stdin: BinaryIO | None = None,
        environment: Environment = (), bulk: bool = False,
    ) -> Streamed:  # fmt: skip
        """A command of any output and input."""
        return self.engine.stream(
            self.instance, self.service, self.slot, command, stdin=stdin, stdout=cast("BinaryIO", stdout),
            environment=environment, timeout=SILENCE, bulk=bulk,
        )  # fmt: skip

    def read_files(self, path: str, sink: Writable) -> None:
        """A directory as a tar stream."""
        self.engine.read_files(self.instance, self.service, self.slot, path, cast("BinaryIO", sink))

    def write_files(self, path: str, source: BinaryIO) -> None:
        """Unpack a tar stream."""
        self.engine.write_files(self.instance, self.service, self.slot, path, source)


@dataclass(frozen=True, slots=True)
class ThrowAwayPlace(ReplicaPlace):
    """A replica that is there for one restore and is gone after it: its own words are all that is left of it."""

    server: Server
    stands_for: str
    """The service of the app whose data it is given: people know that one's name alone."""

    @property
    def name(self) -> str:
        """`a throw-away replica of postgres`."""
        return f"a throw-away replica of {self.stands_for}"

    @property
    def log(self) -> str:
        """Nothing shows it once it is gone."""
        return ""

    def last_words(self) -> tuple[str, ...]:
        """The end of what it wrote."""
        query = LogQuery(services=(self.service,), tail=_LAST_WORDS)
        return tuple(line.text for line in self.server.engine.logs(self.instance, query))[-_LAST_WORDS:]

    def stream(
        self, command: Sequence[str], *, stdout: Writable, stdin: BinaryIO | None = None,
        environment: Environment = (), bulk: bool = False,
    ) -> Streamed:  # fmt: skip
        """As in any replica; raises FailedError with its last words where it has ended."""
        try:
            return ReplicaPlace.stream(self, command, stdout=stdout, stdin=stdin, environment=environment, bulk=bulk)
        except FailedError as error:
            found = self.server.engine.observe(self.instance).of_service(self.service)
            if any(replica.is_running for replica in found):
                raise
            raise FailedError(_ended(self, found)) from error


def throw_away(server: Server, instance: str, replica: str, stands_for: str) -> ThrowAwayPlace:
    """The throw-away replica that the engine knows as `replica`, made to restore data of the service `stands_for`."""
    return ThrowAwayPlace(data_access(server), instance, replica, 1, server, stands_for)


def place_of(server: Server, instance: str, service: str) -> ReplicaPlace:
    """The running replica that holds a service's data; raises FailedError when none runs."""
    replica = running_replica(server, instance, service)
    return ReplicaPlace(data_access(server), instance, service, replica.slot)


def running_replica(server: Server, instance: str, service: str) -> ObservedReplica:
    """The first running replica of a service; raises FailedError when there is none."""
    there = server.engine.observe(instance).of_service(service)
    found = [replica for replica in there if replica.is_running]
    if not found:
        raise FailedError(_nothing_runs(instance, service) if there else never_deployed(instance, service))
    return found[0]


def grace_of(service: Service) -> float:
    """How long a service may take to stop for a backup or a restore of what it writes."""
    facts = known(service)
    is_database = runs(service) is not None or (facts is not None and facts.kind in DATABASES)
    return database_grace(service) if is_database else service.stop_grace


def database_grace(service: Service) -> float:
    """The same of one that is known to be a database: what the user said, else at least what databases need."""
    return service.stop_grace if service.stop_grace_given else max(service.stop_grace, DATABASE_GRACE)


def data_access(server: Server) -> DataAccess:
    """The engine, where it can stream; RefusedError otherwise."""
    engine: object = server.engine
    if isinstance(engine, DataAccess):
        return engine
    raise RefusedError(_cannot_stream(server))


@contextmanager
def standing_still(
    server: Server, project: Project, instance: str, services: Sequence[Service], *,
    before_stop: Callable[[], None] | None = None, ended_too: bool = False,
    grace: Callable[[Service], float] = grace_of, progress: Callable[[str], None] = lambda _: None,
) -> Iterator[ReplicaPlace]:  # fmt: skip
    """All running replicas of these services, stopped for the block; gives the first one of the first service.

    Requests for them and for what calls them are held at the edge, and they are healthy after: they are started again
    however the block ends, and with `ended_too` also those that did not run before.
    """
    context = Context(instance=instance, release=0, project=project)
    observed, edge = server.engine.observe(instance), server.traffic.read(instance)
    if not (found := observed.of_service(services[0].name)):
        raise FailedError(never_deployed(instance, services[0].name))
    place = ReplicaPlace(data_access(server), instance, services[0].name, found[0].slot)
    names = [service.name for service in services]
    waiting = callers_of(edge, project, names)
    replicas = [
        (service, replica.slot)
        for service in services
        for replica in observed.of_service(service.name)
        if replica.is_running or ended_too
    ]
    if before_stop is not None:
        before_stop()
    began = clock.elapsed()
    progress(_stopping(names, waiting, edge))
    with doors_closed(server.traffic, edge, names, waiting):
        with ExitStack() as stopped:
            for service, slot in replicas:
                stopped.callback(server.engine.perform, RestartReplica(service=service.name, slot=slot), context)
                server.engine.perform(StopReplica(service=service.name, slot=slot, grace=grace(service)), context)
            yield place
        for service, slot in replicas:
            prove(server.engine, service, slot, context, Cancellation())
    progress(f"back after {show_seconds(clock.elapsed() - began)}")


def _stopping(names: Sequence[str], waiting: Sequence[str], edge: AppEdge | None) -> str:
    """What visitors will notice, where any are led there."""
    words = [f"stopping {', '.join(names)} for the time of it"]
    if edge is not None and any(service in names for service, _ in edge.endpoints):
        words.append(f"requests wait up to {show_seconds(edge.hold_limit)}, then get 503")
    if edge is not None and waiting:
        what, limit = "it" if len(names) == 1 else "them", show_seconds(edge.hold_limit)
        words.append(f"what calls {what} ({', '.join(waiting)}) waits up to {limit}, then goes on without")
    return "; ".join(words)


def writers_of(project: Project, service: Service, targets: Collection[str]) -> tuple[Service, ...]:
    """A service, and all others that write what it has at these places: the same volume, or the same directory."""
    mounts = [mount for mount in service.stateful_mounts if mount.target in targets]
    others = [
        one
        for one in project.services
        if one.name != service.name
        and any(_is_same_data(own, other) for own in mounts for other in one.stateful_mounts)
    ]
    return (service, *others)


def _is_same_data(one: Mount, other: Mount) -> bool:
    if one.kind is not other.kind or one.source is None or other.source is None:
        return False
    if one.kind is MountKind.BIND:
        first, second = PurePath(one.source), PurePath(other.source)
        return first.is_relative_to(second) or second.is_relative_to(first)
    return one.source == other.source


def _nothing_runs(instance: str, service: str) -> Problem:
    return Problem(
        summary=f"no replica of {service} runs, so its data cannot be reached",
        subject=instance,
        hint=f"`havre ps` shows its state; `havre start {service}`, then try again",
        code="backup-source-down",
    )


def never_deployed(instance: str, service: str) -> Problem:
    """The engine has no replica of it, not even a stopped one that could be started."""
    return Problem(
        summary=f"{service} has no replica on this server, so there is no data of it to reach or replace",
        subject=instance,
        hint="`havre deploy` makes it, then try again",
        code="backup-source-down",
    )


def _ended(place: ThrowAwayPlace, found: Sequence[ObservedReplica]) -> Problem:
    codes = [replica.exit_code for replica in found if replica.exit_code is not None]
    return Problem(
        summary=f"{place.name} ended by itself{f' with exit code {codes[0]}' if codes else ''}",
        subject=place.instance,
        evidence=place.last_words() or ("it wrote nothing",),
        effect="the live data was not touched",
        hint=OWN_WORDS,
        code=ENDED,
    )


def _cannot_stream(server: Server) -> Problem:
    return Problem(
        summary=f"the {server.engine.name} engine cannot hand out data yet",
        hint="run this app on the docker engine to back it up with Havre",
        code="engine-no-data",
    )
