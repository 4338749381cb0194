"""Doctor: gather everything that can be known of a running instance, each question bounded in time, and diagnose it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote

from havre.checks.diagnosis import diagnose
from havre.checks.passwords import redis_password
from havre.edge.certificates import Certificates
from havre.edge.haproxy import Edge
from havre.engines.base import CloseLook, Context, Engine, LogQuery, Usage
from havre.errors import HavreError, InputError, Problem, Severity
from havre.host import clock
from havre.host.automations import automations_here, engine_at_boot
from havre.host.autostart import can_install
from havre.model.diagnosis import CertificateFact, Death, EdgeStatus, Facts, ReplicaFacts
from havre.model.health import ProbeResult
from havre.model.observed import ObservedReplica
from havre.model.project import Project
from havre.model.release import Release
from havre.model.secrets_mask import is_secret_name, looks_secret, mask_text
from havre.model.server import System
from havre.workflows.check import look_at_server
from havre.workflows.circumstances import images_of, load_of, names_of, room_of, visits_of
from havre.workflows.compose_files import processes_of_procfile
from havre.workflows.fills import fills_of
from havre.workflows.record import Recorded, as_scaled, unseal_configuration
from havre.workflows.server import Server

LINES = 60
"""Log lines of each replica that are looked at."""

REMEMBERED = 3600.0
"""Seconds back in which ends of processes count."""

WORKERS = 8
_SYSTEM_WIDE = ("unix:///var/run/docker.sock", "unix:///run/docker.sock")
_Inside: TypeAlias = tuple[tuple[tuple[str, int], ...] | None, int, tuple[tuple[str, int, int], ...]]
_URL_PASSWORD = re.compile(r"://[^:/@\s]*:([^@\s]+)@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was found; `facts` is None where nothing was deployed, `secrets` are the values that must not be shown."""

    instance: str
    facts: Facts | None
    problems: tuple[Problem, ...] = ()
    secrets: tuple[str, ...] = ()

    @property
    def is_well(self) -> bool:
        """True when nothing is wrong that a person must do something about."""
        return all(problem.severity is Severity.NOTE for problem in self.problems)


def examine(server: Server, instance: str, service: str | None = None) -> Diagnosis:
    """Look at the instance now and say what is wrong with it, or with one service of it.

    Raises InputError for a service that it has not, UnavailableError when the engine does not answer.
    """
    last = next(iter(server.state.releases.list(instance, limit=1)), None)
    serving = server.state.releases.serving(instance)
    recorded = _configuration(server, instance, serving, last)
    if recorded is None:
        return Diagnosis(instance=instance, facts=None)
    if service is not None and service not in recorded.project.service_names:
        raise InputError(_no_such_service(instance, service, recorded.project))
    secrets = secret_values(recorded.project)
    scales = server.state.instances.scales(instance)
    edge, machine = _edge(server, instance), look_at_server(server)
    with ThreadPoolExecutor(WORKERS) as pool:
        names = pool.submit(names_of, server, edge.applied, machine.system or System())
        visits = pool.submit(visits_of, server, edge.applied)
        load = pool.submit(load_of, server)
        replicas = _replicas(server, instance, recorded.project, secrets)
    facts = Facts(
        instance=instance,
        project=as_scaled(server, instance, recorded.project),
        emptied=frozenset(one.name for one in recorded.project.services if one.replicas and scales.get(one.name) == 0),
        app=recorded.app,
        now=clock.now(),
        replicas=replicas,
        serving=serving,
        last=last,
        edge=edge,
        certificates=tuple(_certificates(server, instance)),
        fills=tuple(fills_of(server, instance, recorded.project, replicas)),
        names=names.result(),
        visits=visits.result(),
        load=load.result(),
        images=tuple(images_of(server, instance, recorded.project, serving)),
        consumers=room_of(server, machine),
        server=machine,
        only=service,
        comes_back=any(one.brings_back(str(server.state.directory)) for one in automations_here()),
        has_systemd=can_install(),
        processes=processes_of_procfile(recorded.app),
        engine_at_boot=engine_at_boot() if is_system_wide(server.engine) else None,
    )
    return Diagnosis(instance=instance, facts=facts, problems=diagnose(facts), secrets=secrets)


def is_system_wide(engine: Engine) -> bool:
    """Whether docker.service is what starts it; False for Havre itself, one user's own engine, and one elsewhere."""
    return getattr(engine, "host", "") in _SYSTEM_WIDE


def secret_values(project: Project) -> tuple[str, ...]:
    """Every value of a project that must not be shown: by its name, by its shape, and passwords inside URLs."""
    return tuple(sorted({value for value in _secret_values(project) if value}))


def _secret_values(project: Project) -> Iterator[str]:
    for service in project.services:
        pairs = (*service.environment, *(service.build.args if service.build else ()))
        for name, value in pairs:
            if value and (is_secret_name(name) or looks_secret(value)):
                yield value
            yield from (unquote(found) for found in _URL_PASSWORD.findall(value or ""))
        yield redis_password(service) or ""
    for source in project.secrets:
        yield (source.content or "").strip()
        if source.file:
            with contextlib.suppress(OSError, UnicodeDecodeError):
                yield Path(source.file).read_text().strip()


def _configuration(server: Server, instance: str, serving: Release | None, last: Release | None) -> Recorded | None:
    """What serves, else what was tried last: the files of today may say something else."""
    for release in (serving, last):
        if release is not None and server.state.releases.sealed(instance, release.number):
            return unseal_configuration(server, instance, release.number)
    return None


def _replicas(server: Server, instance: str, project: Project, secrets: Sequence[str]) -> tuple[ReplicaFacts, ...]:
    engine = server.engine
    observed = engine.observe(instance).replicas
    since = clock.now() - REMEMBERED
    deaths = engine.deaths(instance, since) if isinstance(engine, CloseLook) else {}
    usage = {(use.service, use.slot): use for use in engine.usage(instance)}
    lines = _log_lines(server, instance, observed, secrets)
    looker = _Looker(server, instance, project, secrets, deaths, usage, lines)
    with ThreadPoolExecutor(WORKERS) as pool:
        return tuple(pool.map(looker.look, observed))


@dataclass(frozen=True, slots=True)
class _Looker:
    """Looks at one replica from all sides; several work at once, because each waits for its health check."""

    server: Server
    instance: str
    project: Project
    secrets: Sequence[str]
    deaths: Mapping[str, tuple[Death, ...]]
    usage: Mapping[tuple[str, int], Usage]
    lines: Mapping[tuple[str, int], Sequence[tuple[float, str]]]

    def look(self, replica: ObservedReplica) -> ReplicaFacts:
        """Everything known of it."""
        place = (replica.service, replica.slot)
        use = self.usage.get(place)
        listens, kills, full = self._inside(replica)
        return ReplicaFacts(
            replica=replica,
            probe=self._probe(replica),
            lines=tuple(self.lines.get(place, ())),
            memory=use.memory if use else None,
            memory_limit=use.memory_limit if use else None,
            memory_peak=use.memory_peak if use else None,
            cpu=use.cpu if use else None,
            full=full,
            listens=listens,
            kills=kills,
            deaths=self.deaths.get(replica.id, ()),
        )

    def _probe(self, replica: ObservedReplica) -> ProbeResult | None:
        if not replica.is_running or replica.role != "replica" or replica.service not in self.project.service_names:
            return None
        context = Context(instance=self.instance, release=replica.release, project=self.project)
        service = self.project.service(replica.service)
        try:
            found = self.server.engine.probe(service, replica.slot, context)
        except HavreError:  # it ended just now: its state says so at the next look
            return None
        return ProbeResult(
            state=found.state,
            asked=mask_text(found.asked, self.secrets),
            output=mask_text(found.output, self.secrets),
            exit_code=found.exit_code,
        )

    def _inside(self, replica: ObservedReplica) -> _Inside:
        """(where it listens, kills for memory, full file systems), where the engine can look inside."""
        engine, place = self.server.engine, (self.instance, replica.service, replica.slot)
        if not isinstance(engine, CloseLook) or not replica.is_running:
            return None, 0, ()
        try:
            return engine.listens(*place), engine.kills(*place), engine.full_inside(*place)
        except HavreError:  # it ended just now
            return None, 0, ()


def _log_lines(
    server: Server, instance: str, observed: Iterable[ObservedReplica], secrets: Sequence[str]
) -> Mapping[tuple[str, int], Sequence[tuple[float, str]]]:
    """The last lines of every replica, and of the failed one-offs that were kept."""
    found: dict[tuple[str, int], list[tuple[float, str]]] = {}
    kept = any(one.role == "task" and not one.is_running for one in observed)
    for query in (LogQuery(tail=LINES), *([LogQuery(tail=LINES, failed=True)] if kept else [])):
        here: dict[tuple[str, int], list[tuple[float, str]]] = {}
        for line in server.engine.logs(instance, query):
            here.setdefault((line.service, line.slot), []).append((line.at, mask_text(line.text, secrets)))
        found |= here
    return found


def _edge(server: Server, instance: str) -> EdgeStatus:
    address, http, _ = server.traffic.entrance()
    is_running = server.traffic.is_running() if isinstance(server.traffic, Edge) else True
    return EdgeStatus(is_running=is_running, entrance=f"{address}:{http}", applied=server.traffic.read(instance))


def _certificates(server: Server, instance: str) -> Iterator[CertificateFact]:
    if not isinstance(server.traffic, Edge) or not server.ends_tls:
        return
    for one in Certificates(server.traffic).listed():
        if one.instance == instance:
            yield CertificateFact(
                hosts=one.hosts, kind=one.kind, days_left=one.days_left, names=one.names, problem=one.problem
            )


def _no_such_service(instance: str, service: str, project: Project) -> Problem:
    return Problem(
        summary=f"there is no service `{service}`",
        subject=instance,
        evidence=(f"services: {', '.join(project.service_names)}",),
        hint="choose one of those, or look at all of them with `havre doctor`",
        code="unknown-service",
    )
