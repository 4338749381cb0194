"""A real process engine in a directory of its own, and small services to run on it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from havre.engines.base import Context, LogQuery
from havre.engines.process.client import Client
from havre.engines.process.engine import ProcessEngine
from havre.errors import HavreError
from havre.model.health import HealthState, ProbeResult
from havre.model.observed import ObservedReplica
from havre.model.plan import (
    BuildImage,
    CreateNetwork,
    CreateVolume,
    PullImage,
    RemoveReplica,
    StartReplica,
    StopReplica,
)
from havre.model.project import Attachment, Build, FileSource, Network, Project, Service, Volume

DEFAULT = Attachment(network="default")

SERVER = """
import http.server, os, sys
print("started", flush=True)
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = f"{os.getpid()} {self.path} {os.environ.get('GREETING', '')}".encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): print("asked", self.path, flush=True)
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
Server((os.environ.get("BIND") or os.environ["HOST"], int(os.environ["PORT"])), Answer).serve_forever()
"""


@dataclass
class Stage:
    """An engine with one project; `wait` asks until a replica is healthy."""

    engine: ProcessEngine
    directory: Path
    services: list[Service] = field(default_factory=list)
    volumes: list[Volume] = field(default_factory=list)
    secrets: list[FileSource] = field(default_factory=list)
    release: int = 1
    said: list[str] = field(default_factory=list)

    @property
    def context(self) -> Context:
        network = Network(key="default", name="shop_default")
        project = Project(
            name="shop",
            services=tuple(self.services),
            networks=(network,),
            volumes=tuple(self.volumes),
            secrets=tuple(self.secrets),
        )
        return Context(instance="shop", release=self.release, project=project)

    def source(self, name: str, **files: str) -> Build:
        """A source tree; dots in file names are written as `__`."""
        root = self.directory / f"source-{name}"
        for file, content in files.items():
            path = root / file.replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return Build(context=str(root))

    def add(self, service: Service) -> Service:
        self.services = [one for one in self.services if one.name != service.name] + [service]
        return service

    def web(self, name: str = "web", **changes: object) -> Service:
        """A small HTTP service on port 8000, built from source."""
        build = self.source(name, app__py=SERVER, Procfile=f"{name}: python3 app.py\n")
        settings = {"expose": ("8000",), "networks": (DEFAULT,), "build": build, **changes}
        return self.add(Service(name=name, image=f"shop_{name}", **settings))  # type: ignore[arg-type]

    def shell(self, name: str, line: str, **changes: object) -> Service:
        """A service that is one shell line."""
        build = self.source(name, Dockerfile="FROM scratch\nWORKDIR /app\n")
        settings = {"networks": (DEFAULT,), "build": build, "command": ("/bin/sh", "-c", line), **changes}
        return self.add(Service(name=name, image=f"shop_{name}", **settings))  # type: ignore[arg-type]

    def prepare(self) -> None:
        """Networks, volumes and images."""
        for network in self.context.project.networks:
            self.engine.perform(CreateNetwork(network=network), self.context)
        for volume in self.volumes:
            self.engine.perform(CreateVolume(volume=volume), self.context)
        for service in self.services:
            step = (
                BuildImage(service=service.name, reference=service.image, build=service.build)
                if service.build
                else PullImage(reference=service.image)
            )
            self.engine.perform(step, self.context, progress=self.said.append)

    def start(self, service: Service, slot: int = 1, fingerprint: str = "f1") -> None:
        self.prepare()
        step = StartReplica(service=service, slot=slot, fingerprint=fingerprint)
        self.engine.perform(step, self.context, progress=self.said.append)

    def stop(self, service: Service, slot: int = 1, grace: float = 5.0) -> None:
        self.engine.perform(StopReplica(service=service.name, slot=slot, grace=grace), self.context)

    def remove(self, service: Service, slot: int = 1) -> None:
        self.engine.perform(RemoveReplica(service=service.name, slot=slot), self.context)

    def wait(self, service: Service, slot: int = 1, *, seconds: float = 20.0) -> ProbeResult:
        """The first healthy answer, or the last one."""
        deadline = time.monotonic() + seconds
        while True:
            result = self.engine.probe(service, slot, self.context)
            if result.state is HealthState.HEALTHY or time.monotonic() > deadline:
                return result
            time.sleep(0.05)

    def observed(self, service: Service, slot: int = 1) -> ObservedReplica:
        return next(r for r in self.engine.observe("shop").of_service(service.name) if r.slot == slot)

    def texts(self, service: Service) -> list[str]:
        return [line.text for line in self.engine.logs("shop", LogQuery(services=(service.name,)))]

    def pid(self, service: Service, slot: int = 1) -> int:
        from havre.engines.process.records import read_status

        return read_status(str(self.directory / "state" / "replicas" / "shop" / f"{service.name}.{slot}")).pid


def until(condition: Callable[[], object], *, seconds: float = 10.0) -> bool:
    """True as soon as `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def take_down(engine: ProcessEngine) -> None:
    """Stop and remove everything, then the supervisor."""
    for instance in engine.instances():
        context = Context(instance=instance, release=0, project=Project(name=instance))
        for replica in engine.observe(instance).replicas:
            engine.perform(StopReplica(service=replica.service, slot=replica.slot, grace=2.0), context)
            engine.perform(RemoveReplica(service=replica.service, slot=replica.slot), context)
    client: Client = engine._client
    with contextlib.suppress(HavreError):
        if client.is_running():
            client.ask("leave")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user can reach (pytest's own are closed to others)."""
    path = Path(tempfile.mkdtemp(prefix="havre-process-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(params=["views", "plain"])
def stage(place: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Once with private views of the file system, once with the fallback that needs none."""
    yield from _stage(place, private_views=request.param == "views")


@pytest.fixture
def viewed(place: Path) -> Iterator[Stage]:
    """With private views of the file system."""
    yield from _stage(place, private_views=True)


def _stage(directory: Path, *, private_views: bool) -> Iterator[Stage]:
    engine = ProcessEngine(directory / "state", private_views=private_views)
    try:
        yield Stage(engine=engine, directory=directory)
    finally:
        take_down(engine)
