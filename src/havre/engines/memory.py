"""An engine that exists only in memory: deterministic, instant, and strict about what real ones forgive.

It ships with the product for its own tests and for anybody who wants to try a plan without a server. Time is
virtual: it passes only when a replica is probed. Every change is told to the watchers, so that a test can check what
must hold at every instant. Where a real engine would quietly cope (a missing image is not pulled, a running replica
is removed by force), this one raises, because a plan that relies on it is wrong.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from havre.engines.base import Context, Executed, LogLine, LogQuery, Progress, Usage
from havre.errors import FailedError, Problem
from havre.model.health import HealthState, ProbeResult
from havre.model.observed import (
    Observed,
    ObservedImage,
    ObservedNetwork,
    ObservedReplica,
    ObservedVolume,
    ReplicaState,
)
from havre.model.plan import (
    BuildImage,
    CreateNetwork,
    CreateVolume,
    EngineStep,
    PullImage,
    RemoveNetwork,
    RemoveReplica,
    RemoveVolume,
    RestartReplica,
    RunTask,
    StartReplica,
    StopReplica,
    TagImage,
)
from havre.model.project import MountKind, Service

Place = tuple[str, str, int]
"""An instance, a service and a slot."""

FIRST_TASK_SLOT = 9001
PROBE_TIME = 0.1
"""Virtual seconds that one probe takes."""


@dataclass(slots=True)
class Behaviour:
    """How replicas and the engine behave; a service is meant by its name or by the image it runs.

    `fail_at` makes that perform (counted from 1) raise, after its effect when `fail_late`.
    """

    unhealthy: frozenset[str] = frozenset()
    exits: Mapping[str, int] = field(default_factory=dict)
    """Exit code of replicas that end as soon as they start, and of jobs and tasks."""
    slow: Mapping[str, float] = field(default_factory=dict)
    """Virtual seconds until healthy."""
    fail_at: int | None = None
    fail_late: bool = False
    answers: Mapping[tuple[str, ...], Executed] = field(default_factory=dict)
    """What commands print; any other prints itself."""
    registry: Mapping[str, str] = field(default_factory=dict)
    """Ids that references have in the registry; any other reference has one made from its name."""


class MemoryEngine:
    """An Engine whose world is four dictionaries."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.behaviour = behaviour or Behaviour()
        self.now = 1_000_000.0
        self.performed: list[EngineStep] = []
        self.watchers: list[Callable[[], None]] = []
        self.images: dict[str, str] = {}
        self._replicas: dict[Place, ObservedReplica] = {}
        self._services: dict[Place, Service] = {}
        self._networks: dict[str, ObservedNetwork] = {}
        self._volumes: dict[str, ObservedVolume] = {}
        self._lines: list[tuple[str, LogLine]] = []
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """`memory`."""
        return "memory"

    def describe(self) -> str:
        """One line for people."""
        return "memory: nothing outside this process"

    def instances(self) -> tuple[str, ...]:
        """The names of all instances with replicas."""
        return tuple(sorted({instance for instance, _, _ in self._replicas}))

    def observe(self, instance: str, *, references: Sequence[str] = ()) -> Observed:
        """One snapshot, as any engine gives it."""
        with self._lock:
            return Observed(
                instance=instance,
                replicas=tuple(replica for (of, _, _), replica in sorted(self._replicas.items()) if of == instance),
                networks=tuple(self._networks.values()),
                volumes=tuple(volume for volume in self._volumes.values() if volume.instance in (instance, "")),
                images=tuple(self._image(reference) for reference in references if reference in self.images),
            )

    def perform(self, step: EngineStep, context: Context, *, progress: Progress | None = None) -> None:
        """Do one step at once; raises FailedError where the behaviour says so or the step cannot be done."""
        with self._lock:
            self.performed.append(step)
            is_last = len(self.performed) == self.behaviour.fail_at
            if is_last and not self.behaviour.fail_late:
                raise FailedError(_told_to_fail(step))
            self._do(step, context)
            for watch in self.watchers:
                watch()
            if is_last:
                raise FailedError(_told_to_fail(step))
        if progress is not None:
            progress(str(step))

    def probe(self, service: Service, slot: int, context: Context) -> ProbeResult:
        """Healthy once it has been up for as long as the behaviour says; the virtual clock moves on."""
        with self._lock:
            self.now += PROBE_TIME
            place = (context.instance, service.name, slot)
            replica = self._replicas.get(place)
            state = HealthState.UNHEALTHY
            if replica is not None and replica.is_running and not self._is(service, self.behaviour.unhealthy):
                up = self.now - replica.started_at
                state = HealthState.HEALTHY if up >= self._slowness(service) else HealthState.STARTING
            if replica is not None:
                self._replicas[place] = replace(replica, health=state)
            return ProbeResult(state=state, asked=f"memory: {service.name}.{slot}", output=state.value)

    def address(self, service: Service, slot: int, context: Context) -> str:
        """The replica's address; raises FailedError when it does not run."""
        replica = self._replicas.get((context.instance, service.name, slot))
        if replica is None or not replica.is_running:
            raise FailedError(_not_running(service.name, slot, replica))
        return replica.addresses[0][1]

    def meeting_point(self, service: Service, caller: Service, context: Context, observed: Observed) -> str | None:
        """The gateway of the first network that both are on."""
        del observed
        theirs = {place.network for place in caller.networks}
        shared = (context.network(place.network).name for place in service.networks if place.network in theirs)
        return next((self._networks[name].gateway for name in shared if name in self._networks), None)

    def resume(self) -> None:
        """Nothing: it lives no longer than its process."""

    def shut_down(self) -> None:
        """Nothing runs beside the test."""

    def logs(self, instance: str, query: LogQuery) -> Iterator[LogLine]:
        """The lines that replicas wrote: one at each start and end."""
        wanted = [line for of, line in self._lines if of == instance and _is_asked(line, query)]
        if query.tail is not None:
            wanted = _tails(wanted, query.tail)
        yield from wanted

    def execute(
        self, instance: str, service: str, slot: int, command: Sequence[str], *, stdin: bytes | None = None,
        environment: Sequence[tuple[str, str]] = (), user: str | None = None, timeout: float | None = None,
    ) -> Executed:  # fmt: skip
        """What the behaviour answers to the command."""
        del stdin, environment, user, timeout
        replica = self._replicas.get((instance, service, slot))
        if replica is None or not replica.is_running:
            raise FailedError(_not_running(service, slot, replica))
        words = tuple(command)
        return self.behaviour.answers.get(words, Executed(exit_code=0, output=" ".join(words)))

    def interactive(
        self, instance: str, service: str, slot: int, command: Sequence[str], *, user: str | None = None
    ) -> int:
        """The exit code of `execute`."""
        return self.execute(instance, service, slot, command, user=user).exit_code

    def usage(self, instance: str, *, with_cpu: bool = True) -> tuple[Usage, ...]:
        """Running replicas with their limits; they use nothing."""
        idle = 0.0 if with_cpu else None
        running = [(place, r) for place, r in sorted(self._replicas.items()) if place[0] == instance and r.is_running]
        return tuple(
            Usage(
                service=r.service, slot=r.slot, memory=0, memory_limit=self._services[place].resources.memory, cpu=idle
            )
            for place, r in running
        )

    # -- what happens to the world besides plans -----------------------------------------------------------------

    def add_image(self, reference: str, image_id: str | None = None) -> None:
        """An image that was built or fetched by somebody else."""
        self.images[reference] = image_id or _image_id(reference)

    def add_network(self, name: str, *, instance: str = "") -> None:
        """Make a network unless it is there; without `instance` it is somebody else's."""
        if name in self._networks:
            return
        number = len(self._networks) + 1
        subnet = (f"10.88.{number}.0/24", f"10.88.{number}.1")
        self._networks[name] = ObservedNetwork(
            name=name, id=f"network-{number}", instance=instance, subnets=(subnet,), driver="memory"
        )

    def add_volume(self, name: str, *, instance: str = "") -> None:
        """Make a volume unless it is there; without `instance` it is somebody else's."""
        self._volumes.setdefault(name, ObservedVolume(name=name, instance=instance, driver="memory"))

    def crash(self, instance: str, service: str, slot: int, *, exit_code: int = 137) -> None:
        """A replica that ends by itself."""
        with self._lock:
            self._end((instance, service, slot), exit_code)

    # -- steps ---------------------------------------------------------------------------------------------------

    def _do(self, step: EngineStep, context: Context) -> None:
        instance = context.instance
        match step:
            case CreateNetwork(network=network):
                self.add_network(network.name, instance=instance)
            case CreateVolume(volume=volume):
                self.add_volume(volume.name, instance=instance)
            case PullImage(reference=reference) | BuildImage(reference=reference):
                self.images[reference] = self.behaviour.registry.get(reference) or _image_id(reference)
            case TagImage(image_id=image_id, reference=reference):
                self.images[reference] = image_id
            case RunTask():
                self._run_task(step, context)
            case StartReplica(service=service, slot=slot, fingerprint=mark):
                self._start(service, slot, mark, context)
            case RestartReplica(service=name, slot=slot):
                self._start_again((instance, name, slot))
            case StopReplica(service=name, slot=slot):
                self._end((instance, name, slot), 0)
            case RemoveReplica() | RemoveNetwork() | RemoveVolume():
                self._remove(step, instance)
            case _:
                assert_never(step)

    def _start(self, service: Service, slot: int, mark: str, context: Context) -> None:
        place = (context.instance, service.name, slot)
        known = self._replicas.get(place)
        if known is not None and known.fingerprint != mark:
            raise FailedError(_taken(known))
        if known is None:
            self._replicas[place] = self._made(service, slot, context, role="replica", fingerprint=mark)
            self._services[place] = service
        self._start_again(place)

    def _start_again(self, place: Place) -> None:
        replica = self._replicas.get(place)
        if replica is None:
            raise FailedError(_not_there(place))
        if replica.is_running:
            return
        self._replicas[place] = replace(
            replica, state=ReplicaState.RUNNING, started_at=self.now, health=HealthState.STARTING, exit_code=None
        )
        self._write(place, "started")
        service = self._services[place]
        if self._is(service, self.behaviour.exits):
            self._end(place, self._exit_code(service))

    def _run_task(self, step: RunTask, context: Context) -> None:
        """As on Docker: a run that succeeded leaves nothing behind, a failed one is kept for inspection."""
        taken = {
            slot for instance, name, slot in self._replicas if (instance, name) == (context.instance, step.service.name)
        }
        slot = next(number for number in range(FIRST_TASK_SLOT, 1 << 30) if number not in taken)
        replica = self._made(step.service, slot, context, role=step.role, fingerprint=step.fingerprint)
        code = self._exit_code(step.service) if self._is(step.service, self.behaviour.exits) else 0
        if code == 0:
            return
        place = (context.instance, step.service.name, slot)
        self._replicas[place] = replace(replica, state=ReplicaState.EXITED, exit_code=code, finished_at=self.now)
        self._services[place] = step.service
        raise FailedError(_task_failed(step, code))

    def _made(self, service: Service, slot: int, context: Context, *, role: str, fingerprint: str) -> ObservedReplica:
        if service.image not in self.images:
            raise FailedError(_missing("image", service.image, service))
        for mount in service.mounts:
            if mount.kind is MountKind.VOLUME and mount.source is not None:
                self._needs_volume(mount.source, service, context)
        return ObservedReplica(
            service=service.name,
            slot=slot,
            id=f"{context.instance}-{service.name}-{slot}",
            name=f"{context.instance}-{service.name}-{slot}",
            state=ReplicaState.CREATED,
            release=context.release,
            fingerprint=fingerprint,
            image_id=self.images[service.image],
            image=service.image,
            role=role,
            addresses=self._addresses(service, slot, context),
        )

    def _needs_volume(self, key: str, service: Service, context: Context) -> None:
        name = next((volume.name for volume in context.project.volumes if volume.key == key), key)
        if name not in self._volumes:
            raise FailedError(_missing("volume", name, service))

    def _addresses(self, service: Service, slot: int, context: Context) -> tuple[tuple[str, str], ...]:
        found = []
        for place in service.networks:
            name = context.network(place.network).name
            if name not in self._networks:
                raise FailedError(_missing("network", name, service))
            host = int(hashlib.sha256(f"{service.name}.{slot}".encode()).hexdigest(), 16) % 250 + 2
            found.append((name, f"10.88.{list(self._networks).index(name) + 1}.{host}"))
        return tuple(found) or (("loopback", "127.0.0.1"),)

    def _end(self, place: Place, exit_code: int) -> None:
        replica = self._replicas.get(place)
        if replica is not None and replica.is_running:
            self._replicas[place] = replace(
                replica, state=ReplicaState.EXITED, exit_code=exit_code, finished_at=self.now, health=HealthState.NONE
            )
            self._write(place, f"ended with exit code {exit_code}")

    def _remove(self, step: RemoveReplica | RemoveNetwork | RemoveVolume, instance: str) -> None:
        match step:
            case RemoveReplica(service=service, slot=slot):
                place = (instance, service, slot)
                _refuse_running(r for key, r in self._replicas.items() if key == place)
                self._replicas.pop(place, None)
                self._services.pop(place, None)
            case RemoveNetwork(name=name):
                _refuse_running(r for r in self._replicas.values() if name in dict(r.addresses))
                self._networks.pop(name, None)
            case RemoveVolume(name=name):
                self._volumes.pop(name, None)

    # -- behaviour -----------------------------------------------------------------------------------------------

    def _is(self, service: Service, among: frozenset[str] | Mapping[str, object]) -> bool:
        return service.name in among or service.image in among

    def _exit_code(self, service: Service) -> int:
        exits = self.behaviour.exits
        return exits[service.name] if service.name in exits else exits[service.image]

    def _slowness(self, service: Service) -> float:
        slow = self.behaviour.slow
        return slow.get(service.name, slow.get(service.image, 0.0))

    def _image(self, reference: str) -> ObservedImage:
        return ObservedImage(reference=reference, id=self.images[reference])

    def _write(self, place: Place, text: str) -> None:
        instance, service, slot = place
        self._lines.append((instance, LogLine(service=service, slot=slot, at=self.now, stream="stdout", text=text)))


def _image_id(reference: str) -> str:
    return f"sha256:{hashlib.sha256(reference.encode()).hexdigest()}"


def _is_asked(line: LogLine, query: LogQuery) -> bool:
    if query.services and line.service not in query.services:
        return False
    return (query.since is None or line.at >= query.since) and (query.until is None or line.at <= query.until)


def _tails(lines: Sequence[LogLine], tail: int) -> list[LogLine]:
    last: dict[tuple[str, int], list[LogLine]] = {}
    for line in lines:
        last.setdefault((line.service, line.slot), []).append(line)
    kept = {id(line) for own in last.values() for line in own[max(len(own) - tail, 0) :]}
    return [line for line in lines if id(line) in kept]


def _told_to_fail(step: EngineStep) -> Problem:
    return Problem(summary=f"cannot {step}: told to fail here", hint="take `fail_at` away", code="memory-told")


def _missing(kind: str, name: str, service: Service) -> Problem:
    hint = f"plan the step that makes the {kind} first"
    return Problem(summary=f"the {kind} {name} is not here", subject=service.name, hint=hint, code=f"{kind}-missing")


def _not_running(service: str, slot: int, found: ObservedReplica | None) -> Problem:
    hint = f"start it with `havre start {service}`" if found else "`havre deploy` makes what is missing"
    return Problem(summary="does not run", subject=f"{service}.{slot}", hint=hint, code="not-running")


def _not_there(place: Place) -> Problem:
    _, service, slot = place
    return Problem(summary="does not exist", subject=f"{service}.{slot}", hint="deploy again", code="replica-missing")


def _taken(replica: ObservedReplica) -> Problem:
    subject = f"{replica.service}.{replica.slot}"
    return Problem(summary="another replica has this slot", subject=subject, hint="take a free slot", code="slot-taken")


def _refuse_running(replicas: Iterable[ObservedReplica]) -> None:
    for replica in replicas:
        if replica.is_running:
            raise FailedError(_still_running(replica))


def _still_running(replica: ObservedReplica) -> Problem:
    subject = f"{replica.service}.{replica.slot}"
    return Problem(summary="still runs", subject=subject, hint="stop it before removing it", code="still-running")


def _task_failed(step: RunTask, code: int) -> Problem:
    return Problem(
        summary=f"{step.title} ended with exit code {code}",
        subject=step.service.name,
        hint=f"correct what `havre logs --failed {step.service.name}` says",
        code="task-failed",
    )
