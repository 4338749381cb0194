"""The process engine: looks and does, by records and a supervisor; it never decides (D2, D19)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO, assert_never

from havre.engines.base import Context, Executed, LogLine, LogQuery, Progress, Usage
from havre.engines.hooks import POST_START, Hook, hooks_text, run_hooks
from havre.engines.process.allocations import Allocations
from havre.engines.process.builder import Builder
from havre.engines.process.cgroups import Groups
from havre.engines.process.client import Client
from havre.engines.process.execution import run_attached, run_in
from havre.engines.process.images import Image, Images
from havre.engines.process.logs import last_texts, read_logs
from havre.engines.process.places import cannot_become
from havre.engines.process.probe import probe_replica, seen_health
from havre.engines.process.probing import hook_command
from havre.engines.process.records import Launch
from havre.engines.process.replicas import Found, Replicas
from havre.engines.process.starting import Starter
from havre.engines.process.streaming import read_files, stream_in, write_files
from havre.engines.process.translate import without_effect
from havre.engines.process.upkeep import Upkeep
from havre.engines.process.usage import pids_of, usage_of
from havre.engines.process.volumes import Networks, Volumes, in_use
from havre.errors import FailedError, Problem, RefusedError
from havre.host import clock
from havre.host.busy import Owner
from havre.host.files import private_directory
from havre.model.app import ProcessSpec
from havre.model.backup import Streamed
from havre.model.health import ProbeResult
from havre.model.launch import AppliedPolicy
from havre.model.observed import Observed, ObservedImage, ObservedReplica, ReplicaState
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
from havre.model.project import Service
from havre.model.units import show_bytes
from havre.model.upkeep import Stored

_LAST_LINES = 15


class ProcessEngine:
    """Replicas as processes of this server, all below `state`. Safe to share between threads.

    `processes` is how the manifest says that services run; without `private_views` everything shares the machine's
    file system (the fallback where the kernel allows nothing else).
    """

    name = "process"

    def __init__(self, state: Path, *, processes: Sequence[ProcessSpec] = (), private_views: bool = True) -> None:
        self._state = private_directory(state.absolute())
        self._told = False
        self._client = Client(self._state, private_views=private_views)
        self._allocations = Allocations(self._state)
        self._volumes = Volumes(self._state)
        self._networks = Networks(self._state, self._allocations)
        self._images = Images(self._state)
        self._caches = self._state / "cache"
        self._builder = Builder(self._images, self._caches, processes)
        self._replicas = Replicas(self._state, self._client, self._allocations)
        self._upkeep = Upkeep(self._state, self._images, self._caches, self._replicas, self._volumes)
        self._starter = Starter(self._client, self._allocations, self._volumes, self._images, self._replicas)

    def describe(self) -> str:
        """`process engine in /var/lib/havre/process: private file systems; limits: cpus, memory, pids`."""
        facts = self._client.facts()
        view = "private file systems" if facts.isolated else f"no private file systems ({facts.why_not})"
        limits = ", ".join(sorted(facts.limits)) or "none enforced (control groups need root)"
        return f"process engine in {self._state}: {view}; limits: {limits}"

    def observe(self, instance: str, *, references: Sequence[str] = ()) -> Observed:
        """One snapshot, from the records."""
        images = ((reference, self._images.find(reference)) for reference in references)
        return Observed(
            instance=instance,
            replicas=tuple(_observed(one) for one in self._replicas.listed(instance)),
            networks=tuple(self._networks.listed()),
            volumes=tuple(self._volumes.listed()),
            images=tuple(_observed_image(reference, image) for reference, image in images if image is not None),
        )

    def instances(self) -> tuple[str, ...]:
        """The names of all instances of which there are replicas."""
        return self._replicas.instances()

    def perform(  # noqa: C901 - one case per kind of step
        self, step: EngineStep, context: Context, *, progress: Progress | None = None
    ) -> None:
        """Do one step; doing it again is no error."""
        instance = context.instance
        match step:
            case CreateNetwork(network=network):
                self._networks.create(network, instance)
            case CreateVolume(volume=volume):
                self._volumes.create(volume, instance)
            case PullImage(reference=reference):
                services = [service for service in context.project.services if service.image == reference]
                self._builder.pull(reference, services, instance, progress or _quiet)
            case BuildImage(service=name, reference=reference, build=build):
                self._builder.build(name, reference, build, f"{instance}/{name}", progress or _quiet)
            case TagImage(image_id=image_id, reference=reference):
                self._images.name(image_id, reference)
            case RunTask():
                self._run_task(step, context, progress or _quiet)
            case StartReplica(service=service, slot=slot, fingerprint=fingerprint):
                self._start(service, slot, fingerprint, context, progress or _quiet)
            case RestartReplica(service=name, slot=slot):
                self._replicas.start_again(instance, name, slot)
            case StopReplica(service=name, slot=slot, grace=grace):
                self._stop(instance, name, slot, grace)
            case RemoveReplica(service=name, slot=slot):
                self._replicas.remove(instance, name, slot)
            case RemoveNetwork(name=name):
                self._remove_network(name, instance)
            case RemoveVolume(name=name):
                self._remove_volume(name)
            case _:
                assert_never(step)

    def probe(self, service: Service, slot: int, context: Context) -> ProbeResult:
        """Run the health check (Compose's, else its image's) in the replica now; without one try its port."""
        found = self._replicas.find(context.instance, service.name, slot)
        image = self._images.get(found.launch.image_id) if found else None
        return probe_replica(self._replicas, found, service, image)

    def address(self, service: Service, slot: int, context: Context) -> str:
        """The replica's own loopback address."""
        return self._replicas.running(context.instance, service.name, slot).launch.address

    def meeting_point(self, service: Service, caller: Service, context: Context, observed: Observed) -> str | None:
        """The gateway of the first network that both are on: an address of this machine that is nobody else's."""
        theirs = {attachment.network for attachment in caller.networks}
        for attachment in service.networks:
            if attachment.network in theirs:
                found = observed.network(context.network(attachment.network).name)
                if found is not None and found.gateway:
                    return found.gateway
        return None

    def owners(self) -> Mapping[str, Owner] | None:
        """Whose each process is, by `pid N`."""
        found: dict[str, Owner] = {}
        for instance in self.instances():
            for one in self._replicas.listed(instance):
                owner = Owner(
                    name=f"{one.launch.service}.{one.launch.slot}", instance=instance, service=one.launch.service
                )
                pids = pids_of(one, self._groups) if one.is_running else ()
                found |= dict.fromkeys((f"pid {pid}" for pid in pids), owner)
        return found

    def root(self) -> Path | None:
        """Where prepared sources, volumes and logs lie."""
        return self._upkeep.root()

    def images_here(self) -> tuple[Stored, ...]:
        """Every prepared source tree and known server."""
        return self._upkeep.images_here()

    def stored(self) -> tuple[Stored, ...]:
        """Everything that takes room below this engine's directory."""
        return self._upkeep.stored()

    def discard(self, one: Stored) -> bool:
        """Remove a prepared source tree, prepared dependencies or a rotated log."""
        return self._upkeep.discard(one)

    def resume(self) -> None:
        """Start the supervisor: it takes over what runs, and starts what `restart:` allows."""
        if self._replicas.instances():
            self._client.facts()

    def shut_down(self) -> None:
        """Let the supervisor leave; replicas that still run are adopted by the next one."""
        if self._client.is_running():
            self._client.ask("leave")

    def logs(self, instance: str, query: LogQuery) -> Iterator[LogLine]:
        """Lines in order of time, followed when asked."""
        return read_logs(self._replicas, instance, query)

    def execute(
        self, instance: str, service: str, slot: int, command: Sequence[str], *, stdin: bytes | None = None,
        environment: Sequence[tuple[str, str]] = (), user: str | None = None, timeout: float | None = None,
    ) -> Executed:  # fmt: skip
        """Run a command in a running replica and wait for it."""
        found = self._replicas.running(instance, service, slot)
        return run_in(self._replicas, found, command, stdin=stdin, environment=environment, user=user, timeout=timeout)

    def stream(
        self, instance: str, service: str, slot: int, command: Sequence[str], *, stdout: BinaryIO,
        stdin: BinaryIO | None = None, environment: Sequence[tuple[str, str]] = (), user: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - a process of this machine does not fall silent by itself
        bulk: bool = False,  # noqa: ARG002 - nothing is between it and us
    ) -> Streamed:  # fmt: skip
        """Run a command in a running replica with its streams connected to the caller's files."""
        found = self._replicas.running(instance, service, slot)
        return stream_in(self._replicas, found, command, stdin=stdin, stdout=stdout, environment=environment, user=user)

    @property
    def feeds_directly(self) -> bool:
        """Commands are children of this one."""
        return True

    def beside(self, instance: str, service: str, slot: int) -> tuple[str | None, str]:
        """By its loopback address: all processes of this machine share its network."""
        return None, self._replicas.running(instance, service, slot).launch.address

    def read_files(self, instance: str, service: str, slot: int, path: str, sink: BinaryIO) -> None:
        """A directory of a replica, running or stopped, as a tar stream."""
        read_files(self._replicas.existing(instance, service, slot), path, sink)

    def write_files(self, instance: str, service: str, slot: int, path: str, source: BinaryIO) -> None:
        """Unpack a tar stream in a replica, running or stopped."""
        write_files(self._replicas.existing(instance, service, slot), path, source)

    def interactive(
        self, instance: str, service: str, slot: int, command: Sequence[str], *, user: str | None = None
    ) -> int:
        """Run a command on the caller's terminal; its exit code."""
        return run_attached(self._replicas, self._replicas.running(instance, service, slot), command, user=user)

    def usage(self, instance: str, *, with_cpu: bool = True) -> tuple[Usage, ...]:
        """Memory and CPU of every running replica."""
        running = [one for one in self._replicas.listed(instance) if one.is_running]
        return usage_of(running, self._groups, with_cpu=with_cpu)

    def policies(self, instance: str) -> tuple[AppliedPolicy, ...]:
        """What the supervisor keeps of each running replica's log, and when it starts it again."""
        running = [one.launch for one in self._replicas.listed(instance) if one.is_running]
        return tuple(_policy_of(launch) for launch in running if launch.role == "replica")

    @cached_property
    def _groups(self) -> Groups:
        return Groups(self._client.facts().limits)

    def _start(self, service: Service, slot: int, fingerprint: str, context: Context, tell: Progress) -> None:
        key = (context.instance, service.name, slot)
        if self._replicas.make_room(*key, release=context.release, fingerprint=fingerprint):
            return
        launch = self._starter.prepare(service, slot, context, fingerprint=fingerprint)
        self._tell_of_the_fallback(tell)
        unlike = ("user",) if service.user and cannot_become(service.user) else ()
        if ignored := (*without_effect(service), *unlike):
            tell(f"{service.name}.{slot}: without effect for a process: {', '.join(ignored)}")
        unenforced = self._replicas.start(launch)
        if unenforced:
            tell(f"{service.name}.{slot}: {_not_enforced(unenforced, root=os.geteuid() == 0)}")
        if hooks := hooks_text(service, POST_START):
            started = self._replicas.running(*key)
            run_hooks(hooks, partial(self._hook, started), doing=f"run post_start of {service.name}.{slot}")

    def _tell_of_the_fallback(self, tell: Progress) -> None:
        """Once for each command."""
        facts = self._client.facts()
        if not facts.isolated and not self._told:
            self._told = True
            tell(
                f"no private file systems here ({facts.why_not}): addresses and real paths are put into commands and "
                "variables instead of names and mounts"
            )

    def _stop(self, instance: str, service: str, slot: int, grace: float) -> None:
        found = self._replicas.find(instance, service, slot)
        if found and found.is_running and found.launch.pre_stop:
            run_hooks(found.launch.pre_stop, partial(self._hook, found), doing=f"run pre_stop of {service}.{slot}")
        self._replicas.stop(instance, service, slot, grace)

    def _hook(self, found: Found, hook: Hook) -> Executed:
        """Addresses of "this machine" in it are the replica's own, as in health checks."""
        argv = hook_command(hook, found.launch.address)
        return run_in(self._replicas, found, argv, environment=hook.environment, user=hook.user)

    def _run_task(self, step: RunTask, context: Context, tell: Progress) -> None:
        service, instance = step.service, context.instance
        self._forget_earlier_attempts(step, instance)
        slot = self._replicas.free_task_slot(instance, service.name)
        launch = self._starter.prepare(
            service, slot, context, fingerprint=step.fingerprint, role=step.role, command=step.command
        )
        code = self._replicas.run(launch, step.timeout)
        found = self._replicas.find(instance, service.name, slot)
        lines = last_texts(found, 10_000) if found else ()
        for line in lines:
            tell(line)
        if code != 0:
            raise FailedError(_task_failed(step, instance, code, lines[-_LAST_LINES:]))
        self._replicas.remove(instance, service.name, slot)

    def _forget_earlier_attempts(self, step: RunTask, instance: str) -> None:
        """What failed and was kept goes when the same is tried again."""
        for one in self._replicas.listed(instance):
            launch = one.launch
            if (launch.service, launch.role) == (step.service.name, step.role) and not one.is_running:
                self._replicas.remove(instance, launch.service, launch.slot)

    def _remove_network(self, name: str, instance: str) -> None:
        users = [one for one in self._replicas.listed(instance) if name in one.launch.networks and one.is_running]
        if users:
            raise FailedError(in_use("network", name, map(_name, users)))
        self._networks.remove(name, instance)

    def _remove_volume(self, name: str) -> None:
        data = self._volumes.data(name)
        everybody = (one for instance in self.instances() for one in self._replicas.listed(instance))
        users = [one for one in everybody if data and any(_is_below(place.source, data) for place in one.launch.places)]
        if users:
            raise RefusedError(in_use("volume", name, map(_name, users)))
        self._volumes.remove(name)


def _observed(one: Found) -> ObservedReplica:
    launch, status = one.launch, one.status
    return ObservedReplica(
        service=launch.service,
        slot=launch.slot,
        id=f"{launch.key}@{launch.created_at:.6f}",
        name=_name(one),
        state=ReplicaState(status.state),
        release=launch.release,
        fingerprint=launch.fingerprint,
        image_id=launch.image_id,
        image=launch.image,
        role=launch.role,
        addresses=(("loopback", launch.address),),
        health=seen_health(one),
        exit_code=status.exit_code,
        oom_killed=status.oom_killed,
        restarts=status.restarts,
        started_at=status.started_at,
        finished_at=status.finished_at,
    )


def _observed_image(reference: str, image: Image) -> ObservedImage:
    return ObservedImage(
        reference=reference, id=image.id, size=image.size, exposed=image.ports, health=image.health,
        created=clock.show_time(image.created),
    )  # fmt: skip


def _quiet(_: str) -> None:
    """Nobody wants to hear of progress."""


def _not_enforced(limits: Sequence[str], *, root: bool) -> str:
    why = "no control group can be made here" if root else "control groups need root"
    return f"not enforced: {', '.join(limits)} ({why})"


def _task_failed(step: RunTask, instance: str, code: int | None, lines: Sequence[str]) -> Problem:
    how = f"exit code {code}" if code is not None else f"it did not finish within {step.timeout:g} s and was stopped"
    return Problem(
        summary=f"{step} failed: {how}",
        subject=instance,
        evidence=tuple(lines),
        hint=f"all it said is kept: `havre logs --failed {step.service.name}`",
        code="task-failed",
    )


def _name(one: Found) -> str:
    return f"{one.launch.instance}-{one.launch.service}-{one.launch.slot}"


def _is_below(path: str, directory: Path) -> bool:
    return path == str(directory) or path.startswith(f"{directory}/")


def _policy_of(launch: Launch) -> AppliedPolicy:
    return AppliedPolicy(
        service=launch.service,
        slot=launch.slot,
        log_driver="havre",
        log_size=show_bytes(launch.log_size),
        log_files=str(launch.log_files),
        restart=launch.restart,
    )
