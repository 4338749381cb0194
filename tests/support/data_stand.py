"""A small real app with data: PostgreSQL and Redis on the Docker Engine, and a Havre state directory of its own."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from data_tools import restic

from havre.backups import postgres
from havre.engines.base import Context, Engine
from havre.engines.docker.engine import DockerEngine
from havre.engines.process.engine import ProcessEngine
from havre.errors import Problem
from havre.model.plan import StopReplica
from havre.model.route import AppEdge, Endpoint
from havre.secrets import sealing
from havre.store.state import State
from havre.workflows.deploy import apply, propose
from havre.workflows.intent import Intent, Wish, read_app, read_intent
from havre.workflows.places import place_of
from havre.workflows.server import Server
from havre.workflows.storage import Storage

_numbers = itertools.count(1)

COMPOSE = """
services:
  db:
    image: postgres:15-alpine
    environment: {POSTGRES_USER: shop, POSTGRES_PASSWORD: "s3cret pa'ss", POSTGRES_DB: shop}
    volumes: ["dbdata:/var/lib/postgresql/data"]
    healthcheck: {test: ["CMD-SHELL", "pg_isready -h 127.0.0.1 -U shop"], interval: 1s, timeout: 5s, retries: 30}
  cache:
    image: redis:7-alpine
    command: redis-server --appendonly yes --requirepass "cachepass"
    volumes: ["cachedata:/data"]
    healthcheck: {test: ["CMD", "redis-cli", "-a", "cachepass", "ping"], interval: 1s, timeout: 5s, retries: 30}
volumes: {dbdata: {}, cachedata: {}}
"""


class NoTraffic:
    """An edge that leads nowhere and writes down what it is told; without routes unless a test sets `edge`."""

    def __init__(self) -> None:
        self.edge: AppEdge | None = None
        self.events: list[str] = []

    def ensure_running(self) -> None: ...

    def read(self, instance: str) -> AppEdge | None:
        return self.edge

    def apply(
        self, app: AppEdge, *, hold: Collection[Endpoint] = (), until: Mapping[Endpoint, float] | None = None
    ) -> object:
        self.edge = app
        self.events.append("lead again" if not hold else "lead some")
        return None

    def hold(self, instance: str, service: str, port: int, *, until: float | None = None) -> None:
        self.events.append(f"hold {service}:{port}")

    def draining(self, instance: str) -> Mapping[str, int]:
        return {}

    def forget(self, instance: str, upstream: str) -> None: ...

    def await_old_workers(self, timeout: float) -> bool:
        return True

    def stop(self) -> None: ...

    def remove(self, instance: str) -> None: ...

    def secure(self, instance: str) -> tuple[Problem, ...]:
        return ()

    def entrance(self) -> tuple[str, int, int | None]:
        return "127.0.0.1", 80, None


@dataclass
class Stand:
    """The app, deployed; `storage` is how Havre's backups see it."""

    directory: Path
    compose: str = COMPOSE
    manifest: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    patience: float = 60.0
    on: str = "docker"

    def __post_init__(self) -> None:
        self.name = f"data{os.getpid()}-{next(_numbers)}"
        self.state = State(self.directory / "state")
        self.traffic = NoTraffic()
        self.server = self.new_server()
        app = self.directory / "app"
        app.mkdir(parents=True, exist_ok=True)
        (app / "compose.yaml").write_text(self.compose)
        (app / "havre.yaml").write_text(f"app: {self.name}\n{self.manifest}")
        self.variables = {"PATH": os.environ["PATH"], "HAVRE_RESTIC": str(restic()), **self.variables}
        self.intent = self.read()
        self.storage.vault.confirm()

    def new_server(self) -> Server:
        return Server(
            state=self.state,
            engine=self._engine(),
            traffic=self.traffic,
            seal=lambda content: sealing.seal(self.state.keys, content),
            unseal=lambda content: sealing.unseal(self.state.keys, content),
            who="tests",
            machine="test",
        )

    def _engine(self) -> Engine:
        if self.on == "process":
            return ProcessEngine(self.state.processes)
        return DockerEngine(config=self.directory / "docker-config")

    def read(self) -> Intent:
        wish = Wish(
            manifest=str(self.directory / "app/havre.yaml"), directory=str(self.directory / "app"),
            variables=self.variables,
        )  # fmt: skip
        return read_intent(wish, read_app(wish))

    @property
    def storage(self) -> Storage:
        return Storage(server=self.server, variables=self.variables, patience=self.patience)

    def deploy(self) -> None:
        proposal = propose(self.server, self.intent)
        if not proposal.plan.is_empty:
            apply(self.server, proposal)

    def sql(self, statement: str, database: str = "shop") -> str:
        return postgres.query(place_of(self.server, self.name, "db"), database, statement)

    def redis(self, *words: str) -> str:
        place = place_of(self.server, self.name, "cache")
        return place.ask(("redis-cli", *words), environment=(("REDISCLI_AUTH", "cachepass"),)).output.strip()

    def container(self, service: str) -> str:
        label = ("--filter", f"label=havre.instance={self.name}", "--filter", f"label=havre.service={service}")
        return docker("ps", "-aq", *label).split()[0]

    def tear_down(self) -> None:
        if isinstance(self.server.engine, ProcessEngine):
            context = Context(instance=self.name, release=0, project=self.intent.project)
            for replica in self.server.engine.observe(self.name).replicas:
                self.server.engine.perform(StopReplica(service=replica.service, slot=replica.slot), context)
            self.server.engine.shut_down()
            return
        mine = ("--filter", f"label=havre.instance={self.name}")
        for container in docker("ps", "-aq", *mine).split():
            docker("rm", "-fv", container)
        for kind in ("volume", "network"):
            for name in docker(kind, "ls", "-q", "--filter", f"label=havre.instance={self.name}").split():
                docker(kind, "rm", name)


def docker(*words: str) -> str:
    """What the docker client answers."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout
