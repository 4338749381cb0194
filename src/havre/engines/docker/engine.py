"""The docker engine: looks and does, by translating and calling; it never decides (D2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, assert_never

from havre.engines.base import Context, Executed, LogLine, LogQuery, Progress, Source, Usage
from havre.engines.docker import labels, looking, pipes, snapshot
from havre.engines.docker.client import DockerClient
from havre.engines.docker.containers import Containers
from havre.engines.docker.execution import run_attached, run_in
from havre.engines.docker.images import Images
from havre.engines.docker.logs import Logs
from havre.engines.docker.lookup import biggest_layers, gpu_libraries_in, programs_in, settings_in, steps_of
from havre.engines.docker.probe import check_command, judge, known_port, listens, where_instead
from havre.engines.docker.pulls import Credentials, pull
from havre.engines.docker.resources import Resources
from havre.engines.docker.streaming import Call, read_files, stream_in, write_files
from havre.engines.docker.tasks import Tasks
from havre.engines.docker.trials import try_once
from havre.engines.docker.upkeep import Upkeep
from havre.engines.docker.usage import usage_of
from havre.errors import FailedError, Problem, UnavailableError
from havre.host import clock
from havre.host.busy import Owner
from havre.host.home import home_directory
from havre.host.listening import listening_addresses
from havre.model.backup import Streamed
from havre.model.diagnosis import Death
from havre.model.health import HealthState, ProbeResult
from havre.model.launch import AppliedPolicy
from havre.model.observed import Observed, ObservedReplica
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
from havre.model.upkeep import Stored

_PARALLEL = 8
_START_LIMIT = 180.0
"""Seconds that the engine may take to answer after the machine was started."""


class DockerEngine:
    """A Docker Engine, as `havre` uses it. Safe to share between threads.

    `host` is what DOCKER_HOST says (None: the usual socket); `config` is the directory of the Docker client's own
    configuration, where `docker login` leaves its credentials.
    """

    name = "docker"

    def __init__(self, host: str | None = None, *, config: Path | None = None) -> None:
        self.client = DockerClient(host)
        self._credentials = Credentials(config or home_directory() / ".docker")
        self._containers = Containers(self.client)
        self._resources = Resources(self.client)
        self._tasks = Tasks(self.client, self._containers)
        self._logs = Logs(self.client, self._containers)
        self.images = Images(self.client)
        self._upkeep = Upkeep(self.client, self.images)

    @property
    def api_version(self) -> tuple[int, int]:
        """The API version spoken with this engine: some Compose keys need a newer one than others."""
        return self.client.version

    @property
    def host(self) -> str:
        """Where the engine listens: `unix:///var/run/docker.sock`."""
        return self.client.host

    def describe(self) -> str:
        """`Docker Engine 20.10.24 (API 1.41) at unix:///var/run/docker.sock`."""
        version = self.client.get("/version", doing="ask the Docker Engine for its version")["Version"]
        major, minor = self.client.version
        return f"Docker Engine {version} (API {major}.{minor}) at {self.client.host}"

    def observe(self, instance: str, *, references: Sequence[str] = ()) -> Observed:
        """One snapshot in four calls, and one more for each replica that does not plainly run and each new image."""
        listed = self._containers.listed(instance)
        now = clock.now()
        replicas = [self._observed(entry, now) for entry in listed]
        return Observed(
            instance=instance,
            replicas=tuple(sorted((r for r in replicas if r is not None), key=lambda r: (r.service, r.slot))),
            networks=tuple(sorted(map(snapshot.network, self._resources.networks()), key=lambda n: n.name)),
            volumes=tuple(sorted(map(snapshot.volume, self._resources.volumes()), key=lambda v: v.name)),
            images=self.images.present(references),
        )

    def programs_in(self, image_id: str, programs: Sequence[str]) -> Mapping[str, bool]:
        """For each program, whether the image has it; nothing is run."""
        return programs_in(self.client, image_id, programs)

    def look_into(self, image_id: str) -> tuple[tuple[tuple[int, str], ...], tuple[str, ...]]:
        """Its biggest layers, and the directories of GPU libraries in it."""
        return biggest_layers(self.client, image_id), gpu_libraries_in(self.client, image_id)

    def settings_in(self, image_id: str) -> tuple[tuple[str, str], ...]:
        """The image's environment and labels, and the build arguments in its history."""
        return settings_in(self.client, image_id)

    def steps_of(self, image_id: str) -> tuple[str, ...]:
        """The commands that its layers were made by."""
        return steps_of(self.client, image_id)

    def try_once(self, service: Service, context: Context, *, timeout: float) -> Executed | None:
        """How the service's command ends in a container of its own that is thrown away."""
        return try_once(self.client, self._containers, service, context, timeout=timeout)

    def save_images(self, references: Sequence[str], sink: BinaryIO) -> None:
        """Write images into an archive."""
        self.images.save(references, sink)

    def load_images(self, source: Source) -> None:
        """Take the images of an archive."""
        self.images.load(source)

    def instances(self) -> tuple[str, ...]:
        """The names of all instances of which there are containers."""
        query = {"all": True, "filters": {"label": [labels.INSTANCE]}}
        found = self.client.get("/containers/json", query, doing="list the instances on this server")
        return tuple(sorted({entry["Labels"][labels.INSTANCE] for entry in found}))

    def perform(  # noqa: C901 - one case per kind of step
        self, step: EngineStep, context: Context, *, progress: Progress | None = None
    ) -> None:
        """Do one step; doing it again is no error."""
        instance = context.instance
        match step:
            case CreateNetwork(network=network):
                self._resources.create_network(network, instance)
            case CreateVolume(volume=volume):
                self._resources.create_volume(volume, instance)
            case PullImage(reference=reference, platform=platform):
                pull(self.client, reference, platform, self._credentials, progress)
            case BuildImage():
                self._build(step, context, progress)
            case TagImage(image_id=image_id, reference=reference):
                self.images.tag(image_id, reference)
            case RunTask():
                self._tasks.run(step, context, progress)
            case StartReplica(service=service, slot=slot, fingerprint=fingerprint):
                self._containers.start_replica(service, slot, fingerprint, context)
            case RestartReplica(service=name, slot=slot):
                self._containers.restart_replica(instance, name, slot)
            case StopReplica(service=name, slot=slot, grace=grace):
                self._containers.stop_replica(instance, name, slot, grace)
            case RemoveReplica(service=name, slot=slot):
                self._containers.remove_replica(instance, name, slot)
            case RemoveNetwork(name=name):
                self._resources.remove_network(name, instance)
            case RemoveVolume(name=name):
                self._resources.remove_volume(name)
            case _:
                assert_never(step)

    def probe(self, service: Service, slot: int, context: Context) -> ProbeResult:
        """Run the container's health check (Compose's, else its image's) now; without one try its port."""
        doing = f"probe {service.name}.{slot}"
        listed = self._containers.find(context.instance, service.name, slot)
        found = self._containers.inspect(listed["Id"], doing=doing) if listed else None
        if found is None or found["State"]["Status"] != "running":
            return _not_up(found)
        check = check_command(found["Config"])
        if check is None:
            return self._try_port(service, found)
        argv, asked = check
        timeout = service.health.timeout if service.health else 30.0
        try:
            return judge(asked, run_in(self.client, found["Id"], argv, doing=doing, timeout=timeout or 30.0))
        except FailedError as error:
            return ProbeResult(state=HealthState.UNHEALTHY, asked=asked, output=error.problems[0].summary)

    def address(self, service: Service, slot: int, context: Context) -> str:
        """The container's IP address on the first of its networks that this machine is on."""
        found = self._containers.running(context.instance, service.name, slot)
        address = self._address(service, found)
        if address is None:
            raise FailedError(_unreachable(service.name, slot, context.instance))
        return address

    def meeting_point(self, service: Service, caller: Service, context: Context, observed: Observed) -> str | None:
        """The gateway of the first network that both are on: this machine, as seen from inside it."""
        theirs = {attachment.network for attachment in caller.networks}
        for attachment in service.networks:
            if attachment.network in theirs:
                found = observed.network(context.network(attachment.network).name)
                if found is not None and found.gateway:
                    return found.gateway
        return None

    def logs(self, instance: str, query: LogQuery) -> Iterator[LogLine]:
        """Lines in order of time, followed when asked."""
        return self._logs.read(instance, query)

    def execute(
        self, instance: str, service: str, slot: int, command: Sequence[str], *, stdin: bytes | None = None,
        environment: Sequence[tuple[str, str]] = (), user: str | None = None, timeout: float | None = None,
    ) -> Executed:  # fmt: skip
        """Run a command in a running replica and wait for it."""
        found = self._containers.running(instance, service, slot)
        doing = f"run `{command[0]}` in {service}.{slot}"
        return run_in(
            self.client, found["Id"], command, doing=doing, stdin=stdin, environment=environment, user=user,
            timeout=timeout,
        )  # fmt: skip

    def stream(
        self, instance: str, service: str, slot: int, command: Sequence[str], *, stdout: BinaryIO,
        stdin: BinaryIO | None = None, environment: Sequence[tuple[str, str]] = (), user: str | None = None,
        timeout: float | None = None, bulk: bool = False,
    ) -> Streamed:  # fmt: skip
        """Run a command in a running replica with its streams connected to the caller's files."""
        found = self._containers.running(instance, service, slot)
        doing = f"run `{command[0]}` in {service}.{slot}"
        call = Call(self.client, found["Id"], command, doing=doing, environment=environment, user=user, timeout=timeout)
        return stream_in(call, stdin=stdin, stdout=stdout, bulk=bulk)

    @property
    def feeds_directly(self) -> bool:
        """Where containers are processes of this machine whose pipes we may open."""
        return pipes.is_possible(self.client)

    def beside(self, instance: str, service: str, slot: int) -> tuple[str | None, str]:
        """In the container's own network, where it is the local machine."""
        return f"container:{self._containers.running(instance, service, slot)['Id']}", "127.0.0.1"

    def read_files(self, instance: str, service: str, slot: int, path: str, sink: BinaryIO) -> None:
        """A file or directory of a replica, running or stopped, as a tar stream."""
        found = self._containers.existing(instance, service, slot)
        read_files(self.client, found["Id"], path, sink, doing=f"read {path} of {service}.{slot}")

    def write_files(self, instance: str, service: str, slot: int, path: str, source: BinaryIO) -> None:
        """Unpack a tar stream in a replica, running or stopped."""
        found = self._containers.existing(instance, service, slot)
        write_files(self.client, found["Id"], path, source, doing=f"write {path} of {service}.{slot}")

    def interactive(
        self, instance: str, service: str, slot: int, command: Sequence[str], *, user: str | None = None
    ) -> int:
        """Run a command on the caller's terminal; its exit code."""
        found = self._containers.running(instance, service, slot)
        doing = f"run `{command[0]}` in {service}.{slot}"
        return run_attached(self.client, found["Id"], command, doing=doing, user=user)

    def usage(self, instance: str, *, with_cpu: bool = True) -> tuple[Usage, ...]:
        """Memory and CPU of every running replica, all at once."""
        running = [entry for entry in self._containers.listed(instance) if entry["State"] == "running"]
        from concurrent.futures import ThreadPoolExecutor  # 14 ms that no other command needs (D5)

        with ThreadPoolExecutor(_PARALLEL) as pool:
            found = pool.map(lambda entry: usage_of(self.client, entry, with_cpu=with_cpu), running)
        return tuple(sorted((u for u in found if u is not None), key=lambda u: (u.service, u.slot)))

    def listens(self, instance: str, service: str, slot: int) -> tuple[tuple[str, int], ...] | None:
        """Where a running container accepts connections; None when the engine is on another machine."""
        return looking.listens(self.client, self._containers.running(instance, service, slot))

    def kills(self, instance: str, service: str, slot: int) -> int:
        """How many processes of a running container the kernel killed for memory; 0 where that cannot be seen."""
        found = self._containers.running(instance, service, slot)
        return looking.kills(found["Id"]) if self.client.is_local else 0

    def full_inside(self, instance: str, service: str, slot: int) -> tuple[tuple[str, int, int], ...]:
        """The file systems of a running container's own that are full."""
        return looking.full_inside(self.client, self._containers.running(instance, service, slot))

    def owners(self) -> Mapping[str, Owner] | None:
        """Whose every running container is; None when they run on another machine."""
        return looking.owners(self.client)

    def deaths(self, instance: str, since: float) -> Mapping[str, tuple[Death, ...]]:
        """How the instance's containers ended, as far back as the engine remembers."""
        return looking.deaths(self.client, instance, since)

    def address_pools(self) -> tuple[tuple[str, int], ...]:
        """What subnets of new networks are taken from."""
        return self._resources.address_pools()

    def root(self) -> Path | None:
        """Where images, volumes and logs lie on this machine."""
        return self._upkeep.root()

    def images_here(self) -> tuple[Stored, ...]:
        """Every image, with its whole size."""
        return self._upkeep.images_here()

    def stored(self) -> tuple[Stored, ...]:
        """Everything that takes room on this engine, whoever made it."""
        return self._upkeep.stored()

    def discard(self, one: Stored) -> bool:
        """Remove an image, a rotated log, the build cache; False when it is needed meanwhile."""
        return self._upkeep.discard(one)

    def resume(self) -> None:
        """Wait for the engine, which starts its containers again by itself, as their `restart:` says."""
        deadline = clock.elapsed() + _START_LIMIT
        while True:
            try:
                self.describe()
                return
            except UnavailableError:
                if clock.elapsed() >= deadline:
                    raise
                clock.sleep(1.0)

    def policies(self, instance: str) -> tuple[AppliedPolicy, ...]:
        """Each running container's log driver with its bounds, and its restart policy, as the engine has them."""
        return looking.policies(self._containers, instance)

    def shut_down(self) -> None:
        """Nothing: the Docker Engine is not ours to stop."""

    def _build(self, step: BuildImage, context: Context, progress: Progress | None) -> None:
        from havre.engines.docker.builds import Builder  # archives and child processes: only when there is a build (D5)

        Builder(self.client, self._credentials).build(step, context, progress)

    def _observed(self, entry: Any, now: float) -> ObservedReplica | None:
        listed = snapshot.replica(entry)
        if snapshot.is_plainly_running(entry, now):
            return listed
        found = self._containers.ended(entry["Id"], doing=f"look at {listed.name}")
        return replace(snapshot.inspected_replica(found), image=listed.image) if found else None

    def _try_port(self, service: Service, found: Any) -> ProbeResult:
        port, address = known_port(service, found["Config"]), self._address(service, found)
        if port is None or address is None:
            return ProbeResult(state=HealthState.NONE, asked="is it running", output="it runs; it has no health check")
        result = listens(address, port)
        if result.state is HealthState.STARTING and self.client.is_local:
            elsewhere = listening_addresses(found["State"]["Pid"])
            return replace(result, output=f"{result.output}{where_instead(port, elsewhere)}")
        return result

    def _address(self, service: Service, found: Any) -> str | None:
        mode = service.network_mode or ""
        if mode == "host":
            return "127.0.0.1"
        if mode.startswith(("service:", "container:")):
            other = found["HostConfig"]["NetworkMode"].partition(":")[2]
            found = self._containers.inspect(other, doing=f"find the address of {service.name}") or found
        networks = found["NetworkSettings"].get("Networks") or {}
        return next((entry["IPAddress"] for entry in networks.values() if entry.get("IPAddress")), None)


def _not_up(found: Any) -> ProbeResult:
    """Why there is nothing to probe."""
    asked = "is it running"
    if found is None:
        return ProbeResult(state=HealthState.UNHEALTHY, asked=asked, output="there is no such replica")
    state = found["State"]
    told = f"it is {state['Status']}, exit code {state.get('ExitCode')}"
    if state.get("OOMKilled"):
        told += ", killed because it used more memory than its limit"
    if found.get("RestartCount"):
        told += f", restarted {found['RestartCount']} times"
    if state.get("Error"):
        told += f": {state['Error']}"
    return ProbeResult(state=HealthState.UNHEALTHY, asked=asked, output=told, exit_code=state.get("ExitCode"))


def _unreachable(service: str, slot: int, instance: str) -> Problem:
    return Problem(
        summary=f"{service}.{slot} has no address that this server can reach",
        subject=instance,
        hint="attach it to a bridge network, or use `network_mode: host`",
        code="no-address",
    )
