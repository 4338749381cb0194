"""Engines under contract: each brings services it can run, so that the same tests can ask all of them.

To put an engine under contract, add a Bench for it to BENCHES.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from havre.engines.base import Context, Engine
from havre.engines.memory import MemoryEngine
from havre.errors import FailedError
from havre.model.health import HealthCheck, HealthState, ProbeResult
from havre.model.observed import ObservedReplica
from havre.model.plan import (
    BuildImage,
    CreateVolume,
    RemoveNetwork,
    RemoveReplica,
    RemoveVolume,
    RestartReplica,
    RunTask,
    StartReplica,
    StopReplica,
)
from havre.model.project import Attachment, Build, Mount, MountKind, Network, Project, Service, Volume

_SERVER = """
import http.server, os, signal, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write({text!r}.encode())
    def log_message(self, *args): pass
signal.signal(signal.SIGTERM, lambda *_: (print("bye", flush=True), os._exit(0)))
server = http.server.ThreadingHTTPServer((os.environ.get("HOST", ""), {port}), Answer)
print("ready", flush=True); print("careful", file=sys.stderr, flush=True)
server.serve_forever()
"""


@dataclass(kw_only=True)
class Bench:
    """An engine and services that it can run; `python` is how a replica calls an interpreter."""

    engine: Engine
    image: str
    python: str = "python3"
    lacks: frozenset[str] = frozenset()
    """What this engine cannot show by its nature: `programs` (real ones), `names`, `ports`, `clock`, `guards`."""

    def script(self, text: str) -> tuple[str, ...]:
        """A command that runs Python source."""
        return (self.python, "-u", "-c", text)

    def serving(self, name: str = "web", port: int = 8080, **changes: Any) -> Service:
        """A server that says `ready`, answers `hello from <name>` and has a health check that asks it."""
        ask = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{port}', timeout=3).read().decode())"
        service = self.service(
            name,
            _SERVER.format(text=f"hello from {name}", port=port),
            health=HealthCheck(test=self.script(ask), interval=60.0),
            expose=(str(port),),
        )
        return replace(service, **changes)

    def exiting(self, name: str, code: int, says: str = "cannot go on", **changes: Any) -> Service:
        """A service that says something and ends with an exit code."""
        return self.service(name, f"print({says!r}); raise SystemExit({code})", **changes)

    def service(self, name: str, source: str, **changes: Any) -> Service:
        """A service that runs Python source."""
        plain = Service(
            name=name, image=self.image, command=self.script(source), networks=(Attachment(network="default"),)
        )
        return replace(plain, **changes)


@dataclass
class World:
    """One instance on one engine, with short names for what a release does to it."""

    bench: Bench
    instance: str
    services: dict[str, Service] = field(default_factory=dict)
    volumes: tuple[Volume, ...] = ()

    @property
    def engine(self) -> Engine:
        """The engine under test."""
        return self.bench.engine

    @property
    def network(self) -> Network:
        """The instance's own network."""
        return Network(key="default", name=f"{self.instance}_default")

    def context(self, release: int = 1) -> Context:
        """The context of a release of everything started so far."""
        project = Project(
            name=self.instance, services=tuple(self.services.values()), networks=(self.network,), volumes=self.volumes
        )
        return Context(instance=self.instance, release=release, project=project)

    def start(self, service: Service, slot: int = 1, *, release: int = 1, fingerprint: str = "v1 a=1") -> None:
        """Start a replica."""
        self.services[service.name] = service
        self.engine.perform(StartReplica(service=service, slot=slot, fingerprint=fingerprint), self.context(release))

    def start_healthy(self, service: Service, slot: int = 1, **how: Any) -> None:
        """Start a replica and wait until it is healthy."""
        self.start(service, slot, **how)
        self.await_state(service, HealthState.HEALTHY, slot)

    def await_state(self, service: Service, state: HealthState, slot: int = 1, timeout: float = 20.0) -> ProbeResult:
        """Probe until the state is seen; fails with the last result."""
        result: list[ProbeResult] = []

        def seen() -> bool:
            result[:] = [self.engine.probe(service, slot, self.context())]
            return result[0].state is state

        wait_for(seen, timeout, lambda: result)
        return result[0]

    def stop(self, service: Service, slot: int = 1, grace: float = 5.0) -> None:
        """Stop a replica."""
        self.engine.perform(StopReplica(service=service.name, slot=slot, grace=grace), self.context())

    def restart(self, service: Service, slot: int = 1) -> None:
        """Start a stopped replica again."""
        self.engine.perform(RestartReplica(service=service.name, slot=slot), self.context())

    def remove(self, service: Service, slot: int = 1) -> None:
        """Remove a replica."""
        self.engine.perform(RemoveReplica(service=service.name, slot=slot), self.context())

    def run(self, service: Service, source: str, *, release: int = 1, **how: Any) -> list[str]:
        """Run Python source as a one-off; the lines it told."""
        self.services.setdefault(service.name, service)
        told: list[str] = []
        step = RunTask(service=service, command=self.bench.script(source), **how)
        self.engine.perform(step, self.context(release), progress=told.append)
        return told

    def run_failing(self, service: Service, code: int, says: str = "failed", **how: Any) -> FailedError:
        """Run a one-off that says something and ends with an exit code; the error it raised."""
        self.bench.exiting(service.name, code)
        with pytest.raises(FailedError) as failure:
            self.run(service, f"print({says!r}); raise SystemExit({code})", **how)
        return failure.value

    def with_volume(self, service: Service, target: str = "/data") -> Service:
        """The service with a named volume, which is created."""
        volume = Volume(key="data", name=f"{self.instance}_data")
        self.volumes = (volume,)
        self.engine.perform(CreateVolume(volume=volume), self.context())
        return replace(service, mounts=(Mount(kind=MountKind.VOLUME, source="data", target=target),))

    def replicas(self) -> tuple[ObservedReplica, ...]:
        """What the engine reports of the instance."""
        return self.engine.observe(self.instance).replicas

    def replica(self, service: Service, slot: int = 1) -> ObservedReplica:
        """What the engine reports of one replica."""
        return next(r for r in self.replicas() if (r.service, r.slot) == (service.name, slot))

    def needs(self, ability: str) -> None:
        """Skip where the engine cannot have it by its nature."""
        if ability in self.bench.lacks:
            pytest.skip(f"the {self.engine.name} engine has no {ability} of its own")

    def tear_down(self) -> None:
        """Remove all that the test made."""
        context = self.context()
        for replica in self.replicas():
            self.engine.perform(StopReplica(service=replica.service, slot=replica.slot, grace=0.0), context)
            self.engine.perform(RemoveReplica(service=replica.service, slot=replica.slot), context)
        self.engine.perform(RemoveNetwork(name=self.network.name), context)
        for volume in self.volumes:
            self.engine.perform(RemoveVolume(name=volume.name), context)


def wait_for(seen: Callable[[], bool], timeout: float = 20.0, told: Callable[[], object] = lambda: None) -> None:
    """Wait until `seen()`; fails with what `told` says."""
    deadline = time.monotonic() + timeout
    while not seen():
        assert time.monotonic() < deadline, f"not within {timeout} s; last: {told()}"
        time.sleep(0.05)


class MemoryBench(Bench):
    """Its programs do not run: how they end is told to the engine."""

    engine: MemoryEngine

    def exiting(self, name: str, code: int, says: str = "cannot go on", **changes: Any) -> Service:
        """A service of which the engine is told that it ends."""
        self.engine.behaviour.exits = {**self.engine.behaviour.exits, name: code}
        return super().exiting(name, code, says, **changes)


def memory_bench(tmp_path: Path) -> Bench:
    """The engine that tests of everything else rely on."""
    bench = MemoryBench(
        engine=MemoryEngine(), image="any:1", lacks=frozenset({"programs", "names", "ports", "clock", "guards"})
    )
    bench.engine.add_image("any:1")
    return bench


def docker_bench(tmp_path: Path) -> Bench:
    """A real Docker Engine with the lab's stand-in for python:3.11-slim."""
    from havre.engines.docker.engine import DockerEngine

    return Bench(engine=DockerEngine(config=tmp_path), image="python:3.11-slim", python="python")


def process_bench(tmp_path: Path) -> Bench:
    """A real process engine; every service runs in an empty source tree."""
    from havre.engines.process.engine import ProcessEngine

    engine = ProcessEngine(tmp_path / "process")
    (tmp_path / "empty").mkdir()
    build = BuildImage(service="any", reference="any:1", build=Build(context=str(tmp_path / "empty")))
    engine.perform(build, Context(instance="any", release=1, project=Project(name="any")))
    return Bench(engine=engine, image="any:1")


BENCHES: dict[str, Callable[[Path], Bench]] = {
    "memory": memory_bench, "docker": docker_bench, "process": process_bench,
}  # fmt: skip
