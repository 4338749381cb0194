"""How reasons and notes are worded, in one place, so that every plan speaks alike."""

from __future__ import annotations

from collections.abc import Sequence

from havre.model.fingerprint import changed_parts
from havre.model.health import HealthState
from havre.model.observed import ObservedReplica, ReplicaState
from havre.model.project import MountKind, Order, Service
from havre.model.units import enumerated, show_seconds

STOPPING = 1.0
STARTING = 2.0
"""Seconds that stopping and starting usually take: what a plan expects where nothing was measured yet."""

WORDS = {
    "files": "configuration files",
    "health": "health check",
    "health_disabled": "health check",
    "mounts": "volumes",
    "options": "other settings",
    "networks": "networks",
}


LOST = {
    ReplicaState.CREATED: "replica never started",
    ReplicaState.PAUSED: "replica is paused",
    ReplicaState.RESTARTING: "replica keeps restarting",
}


def what_changed(service: Service, replica: ObservedReplica, fingerprint: str, image_id: str | None) -> str:
    """`image and environment changed`, or an empty text when the replica is what `service` asks for.

    `image_id` is None when the image is not there yet: then only a replica that names it can be kept.
    """
    same = replica.image_id == image_id if image_id else replica.image == service.image
    parts = changed_parts(replica.fingerprint, fingerprint)
    if "version" in parts:
        return "made by another version of Havre"
    words = [] if same else ["sources" if service.build else "image"]
    words += dict.fromkeys(WORDS.get(part, part.replace("_", " ")) for part in parts)
    return f"{enumerated(words)} changed" if words else ""


def why_lost(replica: ObservedReplica) -> str:
    """Why an unchanged replica cannot be counted on, or an empty text."""
    if replica.is_running:
        return "replica is unhealthy" if replica.health is HealthState.UNHEALTHY else ""
    if replica.state is ReplicaState.EXITED:
        memory = ", out of memory" if replica.oom_killed else ""
        code = "" if replica.exit_code is None else f" ({replica.exit_code}{memory})"
        return f"replica exited{code}"
    return LOST[replica.state]


def why_stop_first(service: Service) -> str:
    """Why two replicas of different releases must not run at once, or an empty text when they may (D11).

    What the Compose file says wins; then a volume or bind that it writes, and what only one process can own.
    """
    if service.update.order is Order.START_FIRST:
        return ""
    if service.update.order is Order.STOP_FIRST:
        return "its update_config says so"
    if service.stateful_mounts:
        mount = service.stateful_mounts[0]
        kind = "volume" if mount.kind is MountKind.VOLUME else "directory"
        return f"it writes the {kind} {mount.source}"
    return _single_owner(service)


def interruption(service: Service, *, waiting: Sequence[str], limit: float) -> str:
    """The note of a stop-first service: why, for how long, and what happens to requests meanwhile.

    Requests for the services in `waiting`, which may be itself, are held for at most `limit` seconds.
    """
    usual = min(STOPPING, service.stop_grace) + STARTING
    most = max(usual, service.stop_grace + (service.health.patience if service.health else 0.0))
    times = f"about {show_seconds(usual)} without it, at most {show_seconds(most)}"
    meanwhile = _meanwhile(service, waiting, limit if limit < most else None)
    return f"{service.name} is stop-first, {why_stop_first(service)}: {times}; {meanwhile}"


def _meanwhile(service: Service, waiting: Sequence[str], limit: float | None) -> str:
    """What becomes of requests; `limit` where it may be away for longer than they wait."""
    if not waiting:
        return "calls to it fail"
    wait = f"requests for {enumerated(waiting)} wait"
    if limit is None:
        return wait
    callers = [name for name in waiting if name != service.name]
    go = "goes" if len(callers) == 1 else "go"
    after = f"{enumerated(callers)} {go} on without it" if callers else "they fail"
    return f"{wait} at most {show_seconds(limit)}, then {after}"


def counted(count: int, noun: str) -> str:
    """`1 replica`, `2 replicas`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _single_owner(service: Service) -> str:
    if service.network_mode is not None and service.network_mode.startswith(("host", "service:", "container:")):
        return f"it uses the network of {service.network_mode.removeprefix('service:')}"
    for place in service.networks:
        fixed = place.ipv4_address or place.ipv6_address or place.mac_address
        if fixed:
            return f"it has the fixed address {fixed}"
    for port in service.ports:
        if port.protocol != "tcp" and port.published:
            return f"it publishes {port.published}/{port.protocol} itself"
    return ""
