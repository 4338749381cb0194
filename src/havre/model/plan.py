"""A plan: ordered steps, each with its reason; pure data whose text is deterministic (I6)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

from havre.model.project import Build, Network, Service, Volume
from havre.model.units import enumerated, show_seconds


class Phase(enum.IntEnum):
    """Where in a release a step belongs (section 5 of the design); undoing depends on it."""

    PREPARE = 1
    SAFEGUARD = 2
    MIGRATE = 3
    START = 4
    SWITCH = 5
    VERIFY = 6
    RETIRE = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateNetwork:
    """Make a network that the project declares."""

    network: Network

    def __str__(self) -> str:
        return f"create network {self.network.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVolume:
    """Make a named volume that the project declares."""

    volume: Volume

    def __str__(self) -> str:
        return f"create volume {self.volume.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullImage:
    """Fetch an image from its registry."""

    reference: str
    platform: str | None = None

    def __str__(self) -> str:
        return f"pull {self.reference}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildImage:
    """Build a service's image and tag it `reference`."""

    service: str
    reference: str
    build: Build

    def __str__(self) -> str:
        return f"build {self.service} as {self.reference}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TagImage:
    """Give an image that is here, known by its id, another reference: nothing is built or fetched."""

    image_id: str
    reference: str

    def __str__(self) -> str:
        return f"name image {self.image_id.removeprefix('sha256:')[:12]} {self.reference}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTask:
    """Run `command` once in a throw-away replica of `service` and wait for exit code 0.

    `role` is `job` for a Compose service that others wait to see completed (its own command), `task`
    for a one-off such as a migration. `timeout` in seconds.
    """

    service: Service
    command: tuple[str, ...] | None
    role: str = "task"
    title: str = "run"
    timeout: float = 600.0
    fingerprint: str = ""

    def __str__(self) -> str:
        shown = f": {' '.join(self.command)}" if self.command else ""
        return f"{self.title} {self.service.name}{shown}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartReplica:
    """Start a new replica of `service` in `slot`."""

    service: Service
    slot: int
    fingerprint: str = ""

    def __str__(self) -> str:
        return f"start {self.service.name}.{self.slot}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartReplica:
    """Start a stopped replica again, as it is."""

    service: str
    slot: int

    def __str__(self) -> str:
        return f"start again {self.service}.{self.slot}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitHealthy:
    """Run the replica's health check until it passes; no traffic before.

    `settle` is how many seconds it must stay healthy after that (`update_config` monitor and delay).
    """

    service: Service
    slot: int
    settle: float = 0.0

    def __str__(self) -> str:
        settle = f" and {show_seconds(self.settle)} more" if self.settle else ""
        return f"await {self.service.name}.{self.slot}{settle}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopReplica:
    """Ask a replica to stop and wait up to `grace` seconds."""

    service: str
    slot: int
    grace: float = 10.0

    def __str__(self) -> str:
        return f"stop {self.service}.{self.slot}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveReplica:
    """Remove a stopped replica (its anonymous volumes go, named ones never)."""

    service: str
    slot: int

    def __str__(self) -> str:
        return f"remove {self.service}.{self.slot}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveNetwork:
    """Remove a network of this instance that nothing uses any more."""

    name: str

    def __str__(self) -> str:
        return f"remove network {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveVolume:
    """Remove a named volume; only ever planned when the user typed its name (I8)."""

    name: str

    def __str__(self) -> str:
        return f"remove volume {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Hold new requests at the edge, at most `limit` seconds, while a stop-first service is away.

    Those for `service` itself, or, where `callers` are named, those for them: they reach `service` without the edge,
    and cannot answer without it. The callers get `limit` seconds to be without requests, then they answer as they can.
    """

    service: str
    callers: tuple[str, ...] = ()
    limit: float = 15.0

    def __str__(self) -> str:
        whose = _callers_of(self.service, self.callers) if self.callers else self.service
        return f"hold requests for {whose}, at most {show_seconds(self.limit)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """End the holds that a stop-first service needed, before the rest of the release; routes stay as they are.

    What waits for it goes to its replicas in `slots` (none where its own requests are not held, or wait for the
    switch), what waits for `callers` to where they are. `back` says where the edge led before the release.
    """

    service: str
    callers: tuple[str, ...] = ()
    slots: tuple[int, ...] = ()
    back: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def __str__(self) -> str:
        own = enumerated([self.service, *self.callers])
        return f"resume requests for {own if self.slots else _callers_of(self.service, self.callers)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Lead all traffic of the instance to these replicas, in one step.

    `to` is (service, slots) for every service that the edge leads to; services that are not named have no
    route any more, and no hold outlives the switch. `back` is the same before it: where undoing leads again.
    """

    to: tuple[tuple[str, tuple[int, ...]], ...]
    back: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def __str__(self) -> str:
        targets = [f"{service}.{slot}" for service, slots in self.to for slot in slots]
        return f"route to {', '.join(targets)}" if targets else "remove all routes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """Ask through the edge what the manifest promises, as a user would reach it (I5)."""

    checks: int

    def __str__(self) -> str:
        return f"verify through the edge ({self.checks} check{'s' if self.checks != 1 else ''})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Wait until a replica has answered what it was asked, at most `limit` seconds."""

    service: str
    slot: int
    limit: float = 10.0

    def __str__(self) -> str:
        return f"drain {self.service}.{self.slot}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TryConfiguration:
    """Ask a service's image, which has just come, whether it accepts the files that are mounted into it."""

    service: Service

    def __str__(self) -> str:
        return f"try the configuration of {self.service.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Safeguard:
    """Take a verified snapshot of these services before a migration may change them."""

    services: tuple[str, ...]

    def __str__(self) -> str:
        return f"snapshot {', '.join(self.services)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoMigration:
    """Run `command` in throw-away replicas of `service`, as it serves now, until the schema is at revision `until`.

    Once where `until` is not known.
    """

    service: Service
    command: tuple[str, ...]
    until: str | None = None
    timeout: float = 600.0

    def __str__(self) -> str:
        until = f", until the schema is at {self.until}" if self.until else ""
        return f"undo the migration of {self.service.name}: {' '.join(self.command)}{until}"


EngineStep: TypeAlias = (
    CreateNetwork | CreateVolume | PullImage | BuildImage | TagImage | RunTask | StartReplica
    | RestartReplica | StopReplica | RemoveReplica | RemoveNetwork | RemoveVolume
)  # fmt: skip
EdgeStep: TypeAlias = Hold | Resume | Switch | Drain
WorkflowStep: TypeAlias = AwaitHealthy | Verify | Safeguard | UndoMigration | TryConfiguration
Step: TypeAlias = EngineStep | EdgeStep | WorkflowStep


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """A step with its number (from 1), why it is there, and the numbers of the steps it waits for."""

    number: int
    step: Step
    reason: str
    after: tuple[int, ...] = ()
    phase: Phase = Phase.START

    def __str__(self) -> str:
        after = f" [after {', '.join(map(str, self.after))}]" if self.after else ""
        return f"{self.number}. {self.step}: {self.reason}{after}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be done to one instance, in topological order; `notes` are facts the user should see.

    A note says, for example, which service is stop-first and for how long requests will be held.
    """

    instance: str
    steps: tuple[PlannedStep, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True when the server already matches."""
        return not self.steps

    def __str__(self) -> str:
        return "\n".join([*map(str, self.steps), *(f"note: {note}" for note in self.notes)])


def _callers_of(service: str, callers: tuple[str, ...]) -> str:
    return f"{enumerated(callers)}, which {'calls' if len(callers) == 1 else 'call'} {service}"
