"""What runs now: every replica of an instance with its health, age, release and use."""

from __future__ import annotations

from dataclasses import dataclass

from havre.engines.base import Usage
from havre.model.observed import ObservedReplica, ReplicaState
from havre.model.release import Release
from havre.workflows.server import Server, slots_by_service


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStatus:
    """One line of `havre ps`; `routed` is True when the edge leads to it, None when the edge never does."""

    service: str
    slot: int
    state: str
    health: str
    release: int
    image: str
    started_at: float
    restarts: int
    exit_code: int | None = None
    memory: int | None = None
    memory_limit: int | None = None
    cpu: float | None = None
    routed: bool | None = None
    addresses: tuple[tuple[str, str], ...] = ()
    role: str = "replica"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """An instance now: the release that serves, its replicas, and the routes that lead to them."""

    instance: str
    serving: Release | None
    replicas: tuple[ReplicaStatus, ...]
    routes: tuple[str, ...] = ()


def look(server: Server, instance: str, *, with_usage: bool = True) -> Status:
    """One snapshot of the instance; raises UnavailableError when the engine does not answer."""
    observed = server.engine.observe(instance)
    usage = {(use.service, use.slot): use for use in server.engine.usage(instance)} if with_usage else {}
    applied = server.traffic.read(instance)
    led_to = slots_by_service(applied)
    replicas = sorted(observed.replicas, key=lambda replica: (replica.role, replica.service, replica.slot))
    return Status(
        instance=instance,
        serving=server.state.releases.serving(instance),
        replicas=tuple(_status(replica, usage, led_to) for replica in replicas),
        routes=tuple(str(route) for route in applied.routes) if applied else (),
    )


def _status(
    replica: ObservedReplica, usage: dict[tuple[str, int], Usage], led_to: dict[str, tuple[int, ...]]
) -> ReplicaStatus:
    use = usage.get((replica.service, replica.slot))
    return ReplicaStatus(
        service=replica.service,
        slot=replica.slot,
        state=_state(replica),
        health=replica.health.value if replica.is_running else "-",
        release=replica.release,
        image=replica.image,
        started_at=replica.started_at,
        restarts=replica.restarts,
        exit_code=replica.exit_code,
        memory=use.memory if use else None,
        memory_limit=use.memory_limit if use else None,
        cpu=use.cpu if use else None,
        routed=replica.slot in led_to[replica.service] if replica.service in led_to else None,
        addresses=replica.addresses,
        role=replica.role,
    )


def _state(replica: ObservedReplica) -> str:
    if replica.state is ReplicaState.EXITED:
        why = ", out of memory" if replica.oom_killed else ""
        return f"exited ({replica.exit_code}{why})"
    return str(replica.state.value)
