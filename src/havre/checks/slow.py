"""What visitors get now, and why it is slow or fails: a service behind it, its limits, a full pool, a busy server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from havre.checks.finding import Finding, Rank, visit_of, way_to
from havre.checks.symptoms import read_kind, read_symptom
from havre.errors import Problem, Severity
from havre.model.calls import targets
from havre.model.diagnosis import Busy, Facts, Fill, ReplicaFacts, Visit
from havre.model.project import Project
from havre.model.units import show_bytes, show_seconds

SLOW = 3.0
"""Seconds from which on an answer is called slow."""

IDLE = 0.05
"""Share of CPU time under which the server is called busy."""

MEMORY_LEFT = 0.08
AT_LIMIT = 0.95
RECENT = 300.0
SHOWN = 5


def pools(facts: Facts) -> Iterator[Finding]:
    """Services that wait for a connection of their own pool, or for a lock, while their database has room."""
    for one in facts.replicas:
        recent = [entry for entry in one.lines if facts.now - entry[0] < RECENT]
        symptom = read_kind(recent, "pool-exhausted") if one.replica.is_running else None
        if symptom is not None:
            yield _pool(facts, one, symptom.line)
    for fill in facts.fills:
        if fill.blocked:
            yield Finding(problem=_lock(fill), rank=Rank.FULL, about=fill.service)


def visits(facts: Facts, found: Sequence[Finding]) -> Iterator[Finding]:
    """What visitors get; explained by the first service on the way that has a finding of its own."""
    troubled = {finding.about for finding in found if finding.about}
    for visit in facts.visits:
        problem = _visit(facts, visit)
        if problem is not None:
            way = (about for name in _way(facts.project, visit.service) for about in (name, way_to(name)))
            because = next((about for about in way if about in troubled), visit.service)
            yield Finding(problem=problem, rank=Rank.SLOW, about=visit_of(visit.service), because=because)


def busy(facts: Facts, found: Sequence[Finding]) -> Iterator[Finding]:
    """The server has no CPU or no memory left; CPU only where somebody feels it."""
    server = facts.server
    if server and server.memory_total and server.memory_available < MEMORY_LEFT * server.memory_total:
        yield Finding(problem=_no_memory(facts, server.memory_available, server.memory_total), rank=Rank.MEMORY)
    explained = {finding.about for finding in found if finding.about}
    is_felt = any(finding.rank is Rank.SLOW and finding.because not in explained for finding in found)
    if facts.load.busiest and facts.load.idle < IDLE and is_felt:
        yield Finding(problem=_no_cpu(facts), rank=Rank.FULL)


def _visit(facts: Facts, visit: Visit) -> Problem | None:
    if visit.error:
        summary, effect = f"visitors of {visit.route} get no answer: {visit.error}", ""
    elif visit.status is not None and visit.status >= 500:
        summary, effect = f"visitors of {visit.route} get {visit.status}", ""
    elif visit.seconds >= SLOW:
        summary, effect = f"{visit.route} answers slowly: in {show_seconds(visit.seconds)}", "visitors wait"
    else:
        return None
    return Problem(
        summary=summary,
        subject=visit.service,
        evidence=tuple(_circumstances(facts, visit.service)),
        effect=effect,
        hint=f"`havre logs --level error --since 10m {visit.service}` shows what it says about it",
        code="doctor-visit",
        severity=Severity.WARNING,
    )


def _circumstances(facts: Facts, service: str) -> Iterator[str]:
    """What a service's replicas have and lack right now: CPU and memory against their limits, the last bad line."""
    for one in facts.of(service):
        cpus = facts.project.service(service).resources.cpus
        if one.cpu is not None and (one.cpu >= 80 or (cpus and one.cpu >= 100 * cpus * AT_LIMIT)):
            limit = f" of its {cpus:g}" if cpus else ""
            yield f"{one.name} uses {one.cpu / 100:.1f}{limit} CPUs"
        if one.memory and one.memory_limit:
            yield f"{one.name} uses {show_bytes(one.memory)} of its {show_bytes(one.memory_limit)} of memory"
        recent = [entry for entry in one.lines if facts.now - entry[0] < RECENT]
        if symptom := read_symptom(recent):
            yield f"log: {symptom.line}"


def _way(project: Project, service: str) -> Iterator[str]:
    """The service, and those it calls, nearest first."""
    seen, waiting = {service}, [service]
    while waiting:
        name = waiting.pop(0)
        if name not in project.service_names:
            continue
        yield name
        one = project.service(name)
        called = [target.service for target in targets(project, one)] + [need.service for need in one.needs]
        waiting += [other for other in dict.fromkeys(called) if other not in seen]
        seen |= set(called)


def _pool(facts: Facts, one: ReplicaFacts, line: str) -> Finding:
    called = {target.service for target in targets(facts.project, facts.project.service(one.service))}
    fill = next((fill for fill in facts.fills if fill.kind == "postgres" and fill.service in called), None)
    held = dict(fill.by).get(one.service, 0) if fill else 0
    room = (
        (f"{fill.service} has {held} connections of {one.service}; {fill.used} of its {fill.limit} are taken in all",)
        if fill and fill.limit
        else ()
    )
    problem = Problem(
        summary="waits for a free connection of its own pool",
        subject=one.name,
        evidence=(f"log: {line}", *room),
        effect="requests wait although the database could serve them",
        hint=f"raise the pool of {one.service} (`pool_size`), or end what holds connections for long; then deploy",
        code="doctor-pool",
        severity=Severity.WARNING,
    )
    return Finding(problem=problem, rank=Rank.FULL, about=one.service)


def _lock(fill: Fill) -> Problem:
    who, state, seconds = max(fill.blocked, key=lambda entry: entry[2])
    return Problem(
        summary=f"queries wait for a lock that {who} has held for {show_seconds(seconds)} ({state})",
        subject=fill.service,
        evidence=(f"connections that hold locks others wait for: {len(fill.blocked)}",),
        effect="what needs the same rows or tables stands still; a migration may be behind it",
        hint=f"`havre restart {who}` lets go of it; end its transaction in the program for good"
        if who != "local"
        else f"`havre exec {fill.service} ps ax` shows whose session it is",
        code="doctor-lock",
    )


def _no_memory(facts: Facts, left: int, total: int) -> Problem:
    ranked = sorted(facts.load.busiest, key=lambda one: -one.memory)
    return Problem(
        summary=f"the server has {show_bytes(left)} of {show_bytes(total)} of memory left",
        subject="server",
        evidence=tuple(f"{show_bytes(one.memory)}  {_who(one)}" for one in ranked[:SHOWN]),
        effect="when it is gone the kernel kills whatever is biggest, of any app",
        hint=f"{_bound(ranked, 'mem_limit')}; `havre top --by memory` shows all",
        code="doctor-server-memory",
        severity=Severity.WARNING,
    )


def _no_cpu(facts: Facts) -> Problem:
    ranked = sorted(facts.load.busiest, key=lambda one: -one.cpu)
    return Problem(
        summary="the CPUs of the server are fully used",
        subject="server",
        evidence=tuple(f"{one.cpu / 100:.1f} CPUs  {_who(one)}" for one in ranked[:SHOWN] if one.cpu >= 1),
        effect="everything on it answers late",
        hint=f"{_bound(ranked, 'cpus')}; `havre top` shows all",
        code="doctor-server-cpu",
        severity=Severity.WARNING,
    )


def _who(one: Busy) -> str:
    return f"{one.name} of {one.instance}" if one.instance else f"{one.name}, not Havre's"


def _bound(ranked: Sequence[Busy], key: str) -> str:
    """What to do about the first: what is Havre's can be bounded in its Compose file."""
    first = ranked[0] if ranked else Busy(name="the first")
    if not first.instance:
        return f"{first.name} is not Havre's: see why it runs, and stop it if nobody needs it"
    return f"give {first.service} of {first.instance} a smaller `{key}` in its Compose file, then `havre deploy`"
