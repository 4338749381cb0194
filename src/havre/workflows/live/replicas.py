"""What running replicas show from the inside: what their images carry, and what databases say of their own locks."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPException

from havre.backups import postgres
from havre.checks.launch.network import WATCHING
from havre.engines.base import Context, Engine
from havre.errors import HavreError
from havre.model.app import Verification
from havre.model.images import known
from havre.model.launch import Database, Inside, Watcher
from havre.model.observed import Observed, ObservedReplica
from havre.model.project import Project, Service
from havre.workflows.places import place_of
from havre.workflows.server import Server
from havre.workflows.verify import Target, ask

PATIENCE = 60.0
_FRAMEWORKS = ("torch", "tensorflow", "jax", "onnxruntime", "paddlepaddle", "mxnet")
_ACCELERATORS = (
    "nvidia_*-cu[0-9]*", "nvidia_*_cu[0-9]*", "*+cu[0-9]*.dist-info", "*+rocm*.dist-info", "cupy_cuda*",
    "onnxruntime_gpu*", "tensorflow_gpu*", "tensorflow_rocm*", "jax_cuda*", "libcudart.so*", "libcublas.so*",
    "libcudnn*.so*", "libnccl.so*", "librocblas.so*", "libtorch_cuda*.so*",
)  # fmt: skip
"""Names of files and directories that only a GPU build brings."""

_SECURITY = (
    "select 'table', schemaname || '.' || tablename, rowsecurity::text from pg_tables where schemaname = 'public'"
    " union all select 'ssl', 'ssl', (current_setting('ssl') = 'on')::text"
    " union all select distinct 'user', usename::text, usesuper::text from pg_stat_activity"
    " join pg_user using (usename) where backend_type = 'client backend' and pid <> pg_backend_pid() order by 1, 2"
)


def first_running(project: Project, observed: Observed) -> Iterator[tuple[Service, ObservedReplica]]:
    """One running replica of every service that has any."""
    for service in project.services:
        running = [one for one in observed.of_service(service.name) if one.is_running]
        if running:
            yield service, running[0]


def look_inside(engine: Engine, project: Project, observed: Observed) -> Iterator[Inside]:
    """The first running replica of every service: its files are listed by its own `find`, nothing is installed."""
    for service, replica in first_running(project, observed):
        yield _inside(engine, observed.instance, service.name, replica.slot)


def ask_databases(server: Server, project: Project, observed: Observed) -> Iterator[Database]:
    """Every PostgreSQL that runs, about tables, TLS and the roles that clients have."""
    for service, _ in first_running(project, observed):
        facts = known(service)
        if facts and facts.kind == "postgres":
            yield _database(server, observed.instance, service)


def ask_watchers(engine: Engine, project: Project, observed: Observed, metrics: str | None) -> Iterator[Watcher]:
    """The monitoring services of the app, and the edge's own metrics."""
    for service, replica in first_running(project, observed):
        facts = known(service)
        if facts and facts.kind in WATCHING:
            yield _watcher(engine, service, replica, Context(instance=observed.instance, release=0, project=project))
    if metrics:
        host, _, port = metrics.rpartition(":")
        yield _asked("edge metrics", host.strip("[]*") or "127.0.0.1", int(port), "/metrics")


def _inside(engine: Engine, instance: str, service: str, slot: int) -> Inside:
    names = [f"{name}-*.dist-info" for name in _FRAMEWORKS]
    wanted = [word for name in (*names, *_ACCELERATORS) for word in ("-o", "-name", name)][1:]
    skipped = ["(", "-path", "/proc", "-o", "-path", "/sys", ")", "-prune", "-o"]
    command = ["find", "/", "-xdev", "-maxdepth", "12", *skipped, "(", *wanted, ")", "-print"]
    try:
        done = engine.execute(instance, service, slot, command, timeout=PATIENCE)
    except HavreError:
        return Inside(service=service)
    if done.exit_code not in (0, 1) or "not found" in done.output[:200]:
        return Inside(service=service)
    found = sorted({line.rsplit("/", 1)[-1] for line in done.output.splitlines() if line.startswith("/")})
    frameworks = [name.removesuffix(".dist-info") for name in found if name.split("-")[0] in _FRAMEWORKS]
    accelerators = [
        name for name in found if name.removesuffix(".dist-info") not in frameworks or "+cu" in name or "+rocm" in name
    ]
    return Inside(service=service, frameworks=tuple(frameworks), accelerators=tuple(accelerators))


def _database(server: Server, instance: str, service: Service) -> Database:
    values = dict(service.environment)
    name = values.get("POSTGRES_DB") or values.get("POSTGRES_USER") or "postgres"
    try:
        answer = postgres.query(place_of(server, instance, service.name), name, _SECURITY)
    except HavreError as error:
        return Database(service=service.name, error=error.problems[0].summary)
    rows = [line.split("\t") for line in answer.splitlines()]
    return Database(
        service=service.name,
        tables=tuple((row[1], row[2] == "true") for row in rows if row[0] == "table"),
        ssl=any(row[2] == "true" for row in rows if row[0] == "ssl"),
        users=tuple((row[1], row[2] == "true") for row in rows if row[0] == "user"),
    )


def _watcher(engine: Engine, service: Service, replica: ObservedReplica, context: Context) -> Watcher:
    facts = known(service)
    port = service.ports[0].target if service.ports else facts.port if facts else 0
    try:
        address = engine.address(service, replica.slot, context)
    except HavreError as error:
        return Watcher(name=service.name, place="", answers=False, detail=error.problems[0].summary)
    return _asked(service.name, address, port, "/")


def _asked(name: str, address: str, port: int, path: str) -> Watcher:
    place = f"{address}:{port}"
    try:
        answer = ask(Verification(path=path, timeout=5.0), Target(address=address, port=port), place)
    except (OSError, HTTPException) as error:
        return Watcher(name=name, place=place, answers=False, detail=f"no answer: {error}")
    return Watcher(name=name, place=place, answers=answer.status < 500, detail=f"status {answer.status}")
