"""What a diagnosis looks at: everything that can be known of an instance at one moment, gathered by the shell.

Texts in it (log lines, probe outputs) have had their secrets hidden already.
"""

from __future__ import annotations

from dataclasses import dataclass

from havre.model.app import App
from havre.model.health import ProbeResult
from havre.model.observed import ObservedReplica
from havre.model.project import Project
from havre.model.release import Release
from havre.model.route import AppEdge
from havre.model.server import ServerFacts
from havre.model.upkeep import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """A process that ended, as the engine remembers it; `at` is seconds since the epoch.

    Without `exit_code` it was a child, and the replica itself went on.
    """

    at: float
    exit_code: int | None = None
    oom: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaFacts:
    """One replica from all sides; sizes in bytes, None where nobody knows."""

    replica: ObservedReplica
    probe: ProbeResult | None = None
    lines: tuple[tuple[float, str], ...] = ()
    """The last log lines with their times, oldest first."""
    memory: int | None = None
    memory_limit: int | None = None
    memory_peak: int | None = None
    listens: tuple[tuple[str, int], ...] | None = None
    """(address, port) of what accepts connections inside; None where the engine cannot tell."""
    cpu: float | None = None
    """In percent of one core."""
    full: tuple[tuple[str, int, int], ...] = ()
    """(path, bytes free, bytes in all) of the file systems inside on which next to nothing is free."""
    kills: int = 0
    """Processes inside that the kernel killed for memory since it was started."""
    deaths: tuple[Death, ...] = ()
    """The recent ones that the engine still remembers, oldest first."""

    @property
    def service(self) -> str:
        """Whose replica it is."""
        return self.replica.service

    @property
    def name(self) -> str:
        """`web.2`."""
        return f"{self.replica.service}.{self.replica.slot}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """How full something with a bound is: connections of a PostgreSQL, memory of a Redis.

    `by` is (who, how much), the biggest first; `policy` what happens when it is full. A PostgreSQL that is so full
    that it does not tell has a limit of 0 and its refusal as `policy`.
    """

    service: str
    kind: str
    used: int
    limit: int
    by: tuple[tuple[str, int], ...] = ()
    policy: str = ""
    blocked: tuple[tuple[str, str, int], ...] = ()
    """(who holds a lock, in which state, since how many seconds) of what lets others wait, in a PostgreSQL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFact:
    """A certificate the instance's hosts need; `days_left` is None while there is none.

    `names` are those it is for, `problem` is what the last try to renew it ended with.
    """

    hosts: tuple[str, ...]
    kind: str
    days_left: float | None = None
    names: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameAnswer:
    """What DNS says of a host: its `addresses`, or a `problem`: `no-record`, or `resolver` when nobody answered.

    `here` are the addresses in this machine's own hosts file, which hold for nobody else.
    """

    host: str
    addresses: tuple[str, ...] = ()
    here: tuple[str, ...] = ()
    problem: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What DNS says of the hosts of an app's routes, and the addresses by which this server is to be reached.

    `is_certain` is False where the server has private addresses only and nobody has said which public ones are its:
    then an address that is not among `own` may still lead here.
    """

    answers: tuple[NameAnswer, ...] = ()
    own: tuple[str, ...] = ()
    is_certain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What a visitor of a route gets at the edge, just now: a status, or why there is none, and how long it took."""

    route: str
    service: str
    seconds: float
    status: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """What one container, or one program outside of any, takes: CPU in percent of one core, memory in bytes."""

    name: str
    instance: str = ""
    service: str = ""
    cpu: float = 0.0
    memory: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How busy the machine is: `idle` is the share of all CPU time; the busiest first, by CPU."""

    idle: float = 1.0
    busiest: tuple[Busy, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFact:
    """How big the image of a service is, how big the one before was, its biggest layers, and the GPU libraries in it.

    `layers` are (bytes, the command that made it), the biggest first.
    """

    service: str
    reference: str
    size: int
    before: int | None = None
    layers: tuple[tuple[int, str], ...] = ()
    gpu_libraries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeStatus:
    """The edge at this moment: whether it answers, where, and what is applied there for the instance."""

    is_running: bool = True
    entrance: str = ""
    applied: AppEdge | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything known of an instance now; `project` is the configuration that runs, not today's files.

    `only` is the one service asked for; `last` the newest release, `serving` the one that serves.
    """

    instance: str
    project: Project
    app: App
    now: float
    replicas: tuple[ReplicaFacts, ...] = ()
    serving: Release | None = None
    last: Release | None = None
    edge: EdgeStatus = EdgeStatus()
    certificates: tuple[CertificateFact, ...] = ()
    fills: tuple[Fill, ...] = ()
    names: Names = Names()
    visits: tuple[Visit, ...] = ()
    load: Load = Load()
    images: tuple[ImageFact, ...] = ()
    consumers: tuple[Stored, ...] = ()
    """What takes room on this server, the biggest first; measured only where a disk is nearly full."""
    server: ServerFacts | None = None
    only: str | None = None
    comes_back: bool = True
    """Something runs `havre boot now` after a reboot."""
    emptied: frozenset[str] = frozenset()
    """Services of which `havre scale` left no replica, although the release has some."""
    has_systemd: bool = True
    processes: frozenset[str] = frozenset()
    """The services that are lines of a Procfile."""
    engine_at_boot: bool | None = None
    """Whether the engine is started at boot; None where nobody can tell, and where it is Havre itself."""

    def of(self, service: str) -> tuple[ReplicaFacts, ...]:
        """The replicas of a service that the serving release stands on: what failed and was kept is not among them."""
        found = [one for one in self.replicas if one.service == service and one.replica.role == "replica"]
        number = self.serving.number if self.serving else None
        return tuple(one for one in found if number is None or one.replica.release <= number)
