"""Bring this server's apps back after it was restarted: edge, replicas, routes, and releases that were cut off.

Docker starts containers again by itself and the process engine's supervisor its replicas, as `restart:` says; what was
not stopped on purpose and is still down is started here. Neither knows the edge, nor that a release was under way, nor
that a database which was started again has to be followed by the receiver of its log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from havre.engines.base import Context
from havre.errors import HavreError, Problem
from havre.host import clock
from havre.model.health import HealthState
from havre.model.release import ReleaseState
from havre.workflows.deploy import apply
from havre.workflows.halt import propose_start
from havre.workflows.intent import Intent
from havre.workflows.record import serving_configuration
from havre.workflows.recover import recover
from havre.workflows.server import Server, led_to_where_they_are, slots_by_service, upstream_name

PATIENCE = 60.0
"""Seconds that replicas may take to run again."""

_POLL = 0.25
WELL = (HealthState.HEALTHY, HealthState.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comeback:
    """How one instance came back: how many replicas the edge leads to, and whether some were stopped on purpose."""

    instance: str
    replicas: int = 0
    was_stopped: bool = False
    problems: tuple[Problem, ...] = ()


def come_back(
    instances: Iterable[str], server_of: Callable[[str], Server], *, patience: float = PATIENCE
) -> Iterator[Comeback]:
    """Bring the instances back, one after the other; what fails in one is told and keeps no other back."""
    engines: dict[str, tuple[Problem, ...]] = {}
    for instance in instances:
        server = server_of(instance)
        if server.engine.name not in engines:
            engines[server.engine.name] = _resume(server)
        problems = engines[server.engine.name]
        yield Comeback(instance=instance, problems=problems) if problems else _one(server, instance, patience)


def refresh_routes(server: Server, instance: str) -> None:
    """Lead the edge to where the replicas are now."""
    applied = server.traffic.read(instance)
    if applied is not None:
        server.traffic.apply(led_to_where_they_are(applied, server.engine.observe(instance)))


def _resume(server: Server) -> tuple[Problem, ...]:
    """Why the engine does not come back; it is waited for once, however many instances it has."""
    try:
        server.engine.resume()
    except HavreError as error:
        return tuple(error.problems)
    return ()


def _one(server: Server, instance: str, patience: float) -> Comeback:
    try:
        return _back(server, instance, patience)
    except HavreError as error:
        return Comeback(instance=instance, problems=tuple(error.problems))


def _back(server: Server, instance: str, patience: float) -> Comeback:
    recover(server, instance, wait=patience)
    stopped = _was_stopped(server, instance)
    if not stopped:
        _start_what_is_down(server, instance)
    refresh_routes(server, instance)
    wanted = [(name, slot) for name, slots in slots_by_service(server.traffic.read(instance)).items() for slot in slots]
    absent = _await_replicas(server, instance, wanted, patience)
    refresh_routes(server, instance)
    not_received = () if stopped else _follow_databases(server, instance)
    return Comeback(
        instance=instance,
        replicas=len(wanted) - len(absent),
        was_stopped=stopped,
        problems=(*(_absent(instance, name) for name in absent), *not_received),
    )


def _was_stopped(server: Server, instance: str) -> bool:
    """True when somebody stopped services of it, and nothing has started them since."""
    done = (ReleaseState.SERVING, ReleaseState.SUPERSEDED)
    kinds = [one.kind for one in server.state.releases.list(instance) if one.state in done and one.kind != "scale"]
    return bool(kinds) and kinds[0] == "stop"


def _start_what_is_down(server: Server, instance: str) -> None:
    if server.state.releases.serving(instance) is None:
        return
    proposal = propose_start(server, instance, ())
    if not proposal.plan.is_empty:
        apply(server, proposal)


def _follow_databases(server: Server, instance: str) -> tuple[Problem, ...]:
    """Have the log of databases with point-in-time recovery received again; says what is not."""
    served = serving_configuration(server, instance)
    if served is None or not any(policy.pitr for policy in served.app.backups):
        return ()
    from havre.workflows.storage import Storage  # only where it is needed: every deploy loads this module
    from havre.workflows.wal import resume_receivers

    return resume_receivers(Storage(server=server), Intent(app=served.app, project=served.project, files=served.files))


def _await_replicas(
    server: Server, instance: str, wanted: Sequence[tuple[str, int]], patience: float
) -> tuple[str, ...]:
    """Wait until all replicas that the edge leads to are well; those that are not in time."""
    served = serving_configuration(server, instance)
    services = {service.name: service for service in served.project.services} if served else {}
    deadline = clock.elapsed() + patience
    waiting = [(services[name], slot) for name, slot in wanted if name in services]
    while waiting and served is not None:
        context = Context(instance=instance, release=0, project=served.project)
        waiting = [one for one in waiting if server.engine.probe(*one, context).state not in WELL]
        if waiting and clock.elapsed() >= deadline:
            break
        clock.sleep(_POLL if waiting else 0.0)
    return tuple(upstream_name(service.name, slot) for service, slot in waiting)


def _absent(instance: str, name: str) -> Problem:
    service = name.rsplit(".", 1)[0]
    return Problem(
        summary=f"{name} is not well again after the restart of this server",
        subject=instance,
        effect="requests for it fail",
        hint=f"see why with `havre doctor` and `havre logs {service}`",
        code="boot-absent",
    )
