"""The seam between deciding and doing: a small Protocol that every engine meets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

from havre.host.busy import Owner
from havre.model.backup import Streamed
from havre.model.diagnosis import Death
from havre.model.health import ProbeResult
from havre.model.launch import AppliedPolicy
from havre.model.observed import Observed
from havre.model.plan import EngineStep
from havre.model.project import FileSource, Network, Project, Service
from havre.model.upkeep import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an engine needs to know about the release beyond the step itself.

    `project` is the release's project (networks, volumes, secrets by key); `names` are extra host entries
    (name, address) for every replica of it (decision D8: rolling services are reached through the edge).
    """

    instance: str
    release: int
    project: Project
    names: tuple[tuple[str, str], ...] = ()

    def network(self, key: str) -> Network:
        """The project's network with that key."""
        return next(network for network in self.project.networks if network.key == key)

    def file_source(self, kind: str, key: str) -> FileSource:
        """The top-level secret or config with that key; `kind` is `secrets` or `configs`."""
        sources: tuple[FileSource, ...] = getattr(self.project, kind)
        return next(source for source in sources if source.key == key)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line a replica wrote; `at` is seconds since the epoch, `stream` is `stdout` or `stderr`."""

    service: str
    slot: int
    at: float
    stream: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which log lines are wanted; times are seconds since the epoch, `tail` counts per replica."""

    services: tuple[str, ...] = ()
    follow: bool = False
    since: float | None = None
    until: float | None = None
    tail: int | None = None
    failed: bool = False
    """Also (and only) replicas that failed in a release and were kept for inspection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """How a command inside a replica ended; output is stdout and stderr as they came."""

    exit_code: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a replica uses now; memory in bytes, cpu in percent of one core; None where not known."""

    service: str
    slot: int
    memory: int | None = None
    memory_limit: int | None = None
    memory_peak: int | None = None
    cpu: float | None = None


Progress = Callable[[str], None]
"""Called with one line of progress (a build's output line, a pull's layer)."""


class Engine(Protocol):
    """Runs replicas. Every method raises only HavreErrors; foreign ones are translated inside."""

    @property
    def name(self) -> str:
        """`docker`, `process`, `memory`: what the user calls it."""
        ...

    def describe(self) -> str:
        """One line for people: engine, version and where it answers."""
        ...

    def observe(self, instance: str, *, references: Sequence[str] = ()) -> Observed:
        """One snapshot: the instance's replicas and volumes, all networks, and the local images among `references`."""
        ...

    def instances(self) -> tuple[str, ...]:
        """The names of all instances this engine holds replicas of."""
        ...

    def perform(self, step: EngineStep, context: Context, *, progress: Progress | None = None) -> None:
        """Do one step and return when it is done; doing a step that is already done is no error."""
        ...

    def probe(self, service: Service, slot: int, context: Context) -> ProbeResult:
        """Run the service's health check once, now, in that replica; without one, look at its process and port."""
        ...

    def address(self, service: Service, slot: int, context: Context) -> str:
        """The IP address at which this machine reaches that replica."""
        ...

    def meeting_point(self, service: Service, caller: Service, context: Context, observed: Observed) -> str | None:
        """The address of this machine at which `caller`'s replicas meet the edge in place of `service` (D8).

        None when `caller` cannot reach `service` at all, or not through this machine; known only once the
        networks exist.
        """
        ...

    def logs(self, instance: str, query: LogQuery) -> Iterator[LogLine]:
        """Lines in order of time; with `follow` new ones as they come, until the caller stops iterating."""
        ...

    def execute(
        self, instance: str, service: str, slot: int, command: Sequence[str], *, stdin: bytes | None = None,
        environment: Sequence[tuple[str, str]] = (), user: str | None = None, timeout: float | None = None,
    ) -> Executed:  # fmt: skip
        """Run a command in a running replica and wait for it."""
        ...

    def interactive(
        self, instance: str, service: str, slot: int, command: Sequence[str], *, user: str | None = None
    ) -> int:
        """Run a command with the caller's terminal attached; returns its exit code."""
        ...

    def usage(self, instance: str, *, with_cpu: bool = True) -> tuple[Usage, ...]:
        """Current memory and CPU of every running replica; CPU takes a moment to measure, memory alone does not."""
        ...

    def resume(self) -> None:
        """After a restart of the machine: have the replicas run again that are to; returns once the engine answers.

        What runs already is not touched.
        """
        ...

    def shut_down(self) -> None:
        """End the engine's own helper processes, if it has any; replicas are not touched."""
        ...


@runtime_checkable
class DataAccess(Protocol):
    """What backups need of an engine beyond `Engine`: any amount of data in and out of replicas, as it comes."""

    def stream(
        self, instance: str, service: str, slot: int, command: Sequence[str], *, stdout: BinaryIO,
        stdin: BinaryIO | None = None, environment: Sequence[tuple[str, str]] = (), user: str | None = None,
        timeout: float | None = None, bulk: bool = False,
    ) -> Streamed:  # fmt: skip
        """Like `execute` for any amount of data: stdin is read from, stdout written to the caller's files as it comes.

        `timeout` is how many seconds may pass without a byte in or out; `bulk` says that much is expected on stdout.
        """
        ...

    @property
    def feeds_directly(self) -> bool:
        """True when what a command reads does not pass through the engine: then unpacking a stream by a command of the
        replica is faster than `write_files`.
        """
        ...

    def read_files(self, instance: str, service: str, slot: int, path: str, sink: BinaryIO) -> None:
        """What lies at `path` in a replica, running or stopped, as a tar stream; names begin with its last part."""
        ...

    def write_files(self, instance: str, service: str, slot: int, path: str, source: BinaryIO) -> None:
        """Unpack a tar stream below the directory `path` of a replica, running or stopped."""
        ...


@runtime_checkable
class Companions(Protocol):
    """What the receiver of a database's log asks of an engine: to run beside a replica."""

    def beside(self, instance: str, service: str, slot: int) -> tuple[str | None, str]:
        """(network mode, host) with which another replica reaches a running one as programs inside it do."""
        ...


@runtime_checkable
class AddressPools(Protocol):
    """What checks of networks ask of an engine that gives each a subnet."""

    def address_pools(self) -> tuple[tuple[str, int], ...]:
        """(range, bits of a subnet): what subnets of new networks are taken from."""
        ...


@runtime_checkable
class ImageLook(Protocol):
    """What checks ask of an engine that has images: what is in one, without running it."""

    def programs_in(self, image_id: str, programs: Sequence[str]) -> Mapping[str, bool]:
        """For each program, a name or an absolute path, whether the image has it."""
        ...


@runtime_checkable
class ImageReading(Protocol):
    """What checks of secrets ask of an engine that has images."""

    def settings_in(self, image_id: str) -> tuple[tuple[str, str], ...]:
        """(name, value) of the environment, labels and build arguments that whoever gets the image can read."""
        ...

    def steps_of(self, image_id: str) -> tuple[str, ...]:
        """The commands that its layers were made by."""
        ...


@runtime_checkable
class Trials(Protocol):
    """What checks of configuration files ask of an engine that has images."""

    def try_once(self, service: Service, context: Context, *, timeout: float) -> Executed | None:
        """Run the service's command to its end in a replica that nobody sees and that is thrown away.

        None when it cannot be started (the image lacks the program) or does not end within `timeout` seconds.
        """
        ...


class Source(Protocol):
    """A stream of bytes that can only be read forward."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; nothing at the end."""
        ...


@runtime_checkable
class ImageTransfer(Protocol):
    """What moving images between servers asks of an engine that has images."""

    def save_images(self, references: Sequence[str], sink: BinaryIO) -> None:
        """Write images, by reference or id, into an archive that `load_images` of another engine reads."""
        ...

    def load_images(self, source: Source) -> None:
        """Take the images of an archive; each keeps its id and its names."""
        ...


@runtime_checkable
class PolicyLook(Protocol):
    """What the production checklist asks of an engine that keeps logs and restarts replicas."""

    def policies(self, instance: str) -> tuple[AppliedPolicy, ...]:
        """The log's bounds and the restart policy of every running replica, as they are applied now."""
        ...


@runtime_checkable
class CloseLook(Protocol):
    """What a diagnosis asks of an engine that can look into replicas and remembers what happened to them."""

    def listens(self, instance: str, service: str, slot: int) -> tuple[tuple[str, int], ...] | None:
        """(address, port) of what accepts connections inside a running replica; None where that cannot be seen."""
        ...

    def kills(self, instance: str, service: str, slot: int) -> int:
        """How many processes of a running replica the kernel killed for memory since it was started."""
        ...

    def full_inside(self, instance: str, service: str, slot: int) -> tuple[tuple[str, int, int], ...]:
        """(path, bytes free, bytes in all) of the file systems of a running replica's own that are full."""
        ...

    def deaths(self, instance: str, since: float) -> Mapping[str, tuple[Death, ...]]:
        """The ends of processes by replica id, as far back as is remembered; kills for memory are marked."""
        ...


@runtime_checkable
class Upkeep(Protocol):
    """What looking after the disk asks of an engine: what takes room here, and to let go of single things."""

    def root(self) -> Path | None:
        """The directory of this machine that images, volumes and logs lie in; None where they are on another."""
        ...

    def images_here(self) -> tuple[Stored, ...]:
        """Every image, quickly; its size may count layers that others share."""
        ...

    def stored(self) -> tuple[Stored, ...]:
        """Everything that takes room, whoever made it; measuring may take a while."""
        ...

    def discard(self, one: Stored) -> bool:
        """Remove an image, a rotated log, a cache; False when it is needed meanwhile. Never a volume."""
        ...


@runtime_checkable
class Owners(Protocol):
    """What ranking the load of a machine asks of an engine."""

    def owners(self) -> Mapping[str, Owner] | None:
        """Whose each container is by its id, or each process by `pid N`; None where they run on another machine."""
        ...


@runtime_checkable
class ImageDetails(Protocol):
    """What judging the size of an image asks of an engine."""

    def look_into(self, image_id: str) -> tuple[tuple[tuple[int, str], ...], tuple[str, ...]]:
        """((bytes, the command that made it) of the biggest layers, the directories of GPU libraries in it)."""
        ...
