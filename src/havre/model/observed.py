"""One snapshot of what an engine runs; planning looks at nothing else."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from havre.model.health import HealthState


class ReplicaState(enum.Enum):
    """The states a plan tells apart; an engine maps its own onto them."""

    CREATED = "created"
    RUNNING = "running"
    RESTARTING = "restarting"
    PAUSED = "paused"
    EXITED = "exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedReplica:
    """One replica as the engine reports it. `slot` counts from 1 and is unique within a service.

    `release` is the number of the release that started it, `fingerprint` what it was made from and
    `image_id` the image it runs. Times are seconds since the epoch.
    """

    service: str
    slot: int
    id: str
    name: str
    state: ReplicaState
    release: int = 0
    fingerprint: str = ""
    image_id: str = ""
    image: str = ""
    role: str = "replica"
    """`replica`, `job` or `task` (a one-off such as a migration)."""
    addresses: tuple[tuple[str, str], ...] = ()
    """(network name, IP address); a process replica has one under the name `loopback`."""
    health: HealthState = HealthState.NONE
    exit_code: int | None = None
    oom_killed: bool = False
    restarts: int = 0
    started_at: float = 0.0
    finished_at: float = 0.0

    @property
    def is_running(self) -> bool:
        """True while its process runs."""
        return self.state is ReplicaState.RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedNetwork:
    """A network of the engine; `instance` is empty when Havre did not make it."""

    name: str
    id: str
    instance: str = ""
    subnets: tuple[tuple[str, str | None], ...] = ()
    """(subnet, gateway)."""
    driver: str = ""
    internal: bool = False

    @property
    def gateway(self) -> str | None:
        """The address at which this machine is reached from inside the network."""
        return next((gateway for _, gateway in self.subnets if gateway), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedVolume:
    """A volume of the engine; `instance` is empty when Havre did not make it."""

    name: str
    instance: str = ""
    driver: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedImage:
    """A local image: the reference it was asked by, its id, and the registry digest when it has one."""

    reference: str
    id: str
    digest: str | None = None
    size: int = 0
    exposed: tuple[int, ...] = ()
    health: tuple[str, ...] | None = None
    has_entrypoint: bool | None = None
    """Whether a command goes to a program of the image's own; None where the engine does not know."""
    labels: tuple[tuple[str, str], ...] = ()
    created: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything a plan for one instance may look at."""

    instance: str
    replicas: tuple[ObservedReplica, ...] = ()
    networks: tuple[ObservedNetwork, ...] = ()
    """All networks of the engine, foreign ones included (their subnets matter)."""
    volumes: tuple[ObservedVolume, ...] = ()
    images: tuple[ObservedImage, ...] = ()
    """Those of the references asked for that are present locally."""

    def of_service(self, service: str) -> tuple[ObservedReplica, ...]:
        """The replicas of `service` (not jobs or tasks), by slot."""
        found = (r for r in self.replicas if r.service == service and r.role == "replica")
        return tuple(sorted(found, key=lambda replica: replica.slot))

    def image(self, reference: str) -> ObservedImage | None:
        """The local image known by `reference`, or None."""
        return next((image for image in self.images if image.reference == reference), None)

    def network(self, name: str) -> ObservedNetwork | None:
        """The network called `name`, or None."""
        return next((network for network in self.networks if network.name == name), None)

    def volume(self, name: str) -> ObservedVolume | None:
        """The volume called `name`, or None."""
        return next((volume for volume in self.volumes if volume.name == name), None)
