"""The server as a whole: what machine it is, which apps share it and what each of them holds, and the edge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from havre.edge.haproxy import Edge
from havre.engines.base import Engine
from havre.host import clock
from havre.model.server import Claim, ServerFacts
from havre.store.instances import KnownInstance
from havre.store.state import State
from havre.workflows.ledger import server_now


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """One app on this server: what serves, what it holds, what it uses now; sizes in bytes."""

    instance: str
    engine: str
    directory: str
    release: int | None
    since: float | None
    replicas: int
    running: int
    hosts: tuple[str, ...]
    ports: tuple[str, ...]
    memory_limit: int
    memory_used: int | None
    """None where its engine does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeView:
    """The proxy in front of all apps."""

    running: bool
    address: str
    http_port: int
    https_port: int | None
    access_log: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Everything about this server at one moment."""

    facts: ServerFacts
    engines: tuple[str, ...]
    edge: EdgeView
    instances: tuple[InstanceView, ...]
    state: str


def look_at_machine(state: State, engines: Sequence[Engine], edge: Edge) -> Machine:
    """Look once; raises UnavailableError only when the state directory cannot be read."""
    facts = server_now(state, [("state", state.directory), ("backups", state.backups)])
    address, http, https = edge.entrance()
    return Machine(
        facts=facts,
        engines=tuple(engine.describe() for engine in engines),
        edge=EdgeView(
            running=edge.is_running(),
            address=address,
            http_port=http,
            https_port=https,
            access_log=str(edge.layout.log),
        ),
        instances=tuple(_instances(state, engines, facts.claims)),
        state=str(state.directory),
    )


def _instances(state: State, engines: Sequence[Engine], claims: Sequence[Claim]) -> Iterator[InstanceView]:
    by_name = {engine.name: engine for engine in engines}
    for known in state.instances.list():
        yield _instance(state, known, by_name.get(known.engine), [c for c in claims if c.instance == known.instance])


def _instance(state: State, known: KnownInstance, engine: Engine | None, claims: Sequence[Claim]) -> InstanceView:
    serving = state.releases.serving(known.instance)
    replicas = [one for one in engine.observe(known.instance).replicas if one.role == "replica"] if engine else []
    used = engine.usage(known.instance, with_cpu=False) if engine else ()
    return InstanceView(
        instance=known.instance,
        engine=known.engine,
        directory=known.directory,
        release=serving.number if serving else None,
        since=serving.ended_at if serving else None,
        replicas=len(replicas),
        running=sum(one.is_running for one in replicas),
        hosts=tuple(claim.value for claim in claims if claim.kind == "host"),
        ports=tuple(claim.value for claim in claims if claim.kind == "port"),
        memory_limit=sum(int(claim.value) for claim in claims if claim.kind == "memory"),
        memory_used=sum(use.memory or 0 for use in used) if engine else None,
    )


def age(view: InstanceView) -> float | None:
    """Seconds since the release that serves was done."""
    return clock.now() - view.since if view.since else None
