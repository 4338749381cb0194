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


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFact:
    """A certificate the instance's hosts need; `days_left` is None while there is none."""

    hosts: tuple[str, ...]
    kind: str
    days_left: float | None = None
    problem: str = ""


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
    server: ServerFacts | None = None
    only: str | None = None

    def of(self, service: str) -> tuple[ReplicaFacts, ...]:
        """The replicas of a service that the serving release stands on: what failed and was kept is not among them."""
        found = [one for one in self.replicas if one.service == service and one.replica.role == "replica"]
        number = self.serving.number if self.serving else None
        return tuple(one for one in found if number is None or one.replica.release <= number)
