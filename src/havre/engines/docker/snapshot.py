"""From the engine's answers to what a plan may look at; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from havre.engines.docker import labels
from havre.model.health import HealthState
from havre.model.observed import ObservedImage, ObservedNetwork, ObservedReplica, ObservedVolume, ReplicaState

Json = Mapping[str, Any]

_STATES = {
    "created": ReplicaState.CREATED,
    "running": ReplicaState.RUNNING,
    "restarting": ReplicaState.RESTARTING,
    "paused": ReplicaState.PAUSED,
}
_HEALTH = {
    "healthy": HealthState.HEALTHY,
    "unhealthy": HealthState.UNHEALTHY,
    "starting": HealthState.STARTING,
    "health: starting": HealthState.STARTING,
}


def replica(listed: Json) -> ObservedReplica:
    """A replica as the container list shows it: enough for one that plainly runs."""
    own = listed.get("Labels") or {}
    networks = (listed.get("NetworkSettings") or {}).get("Networks") or {}
    return ObservedReplica(
        service=own.get(labels.SERVICE, ""),
        slot=labels.number(own, labels.SLOT),
        id=listed["Id"],
        name=_first_name(listed),
        state=_STATES.get(listed.get("State", ""), ReplicaState.EXITED),
        release=labels.number(own, labels.RELEASE),
        fingerprint=own.get(labels.FINGERPRINT, ""),
        image_id=listed.get("ImageID", ""),
        image=listed.get("Image", ""),
        role=own.get(labels.ROLE, "replica"),
        addresses=_addresses(networks),
        health=_listed_health(listed.get("Status", "")),
        started_at=float(listed.get("Created") or 0),
    )


def inspected_replica(found: Json) -> ObservedReplica:
    """A replica as inspecting it shows it: with exit code, restarts, OOM kill and exact times."""
    state, config = found["State"], found["Config"]
    own = config.get("Labels") or {}
    running = state.get("Status") in {"running", "paused"}
    health = (state.get("Health") or {}).get("Status", "")
    return ObservedReplica(
        service=own.get(labels.SERVICE, ""),
        slot=labels.number(own, labels.SLOT),
        id=found["Id"],
        name=found["Name"].lstrip("/"),
        state=_STATES.get(state.get("Status", ""), ReplicaState.EXITED),
        release=labels.number(own, labels.RELEASE),
        fingerprint=own.get(labels.FINGERPRINT, ""),
        image_id=found.get("Image", ""),
        image=config.get("Image", ""),
        role=own.get(labels.ROLE, "replica"),
        addresses=_addresses(found["NetworkSettings"].get("Networks") or {}),
        health=_HEALTH.get(health, HealthState.NONE),
        exit_code=None if running or state.get("Status") == "created" else state.get("ExitCode"),
        oom_killed=bool(state.get("OOMKilled")),
        restarts=found.get("RestartCount", 0),
        started_at=seconds(state.get("StartedAt", "")),
        finished_at=seconds(state.get("FinishedAt", "")),
    )


def is_plainly_running(listed: Json, now: float) -> bool:
    """True when the list says all there is to say: it runs, is not failing, and has run since it was made.

    The list has no count of restarts; a container that is up for much less time than it exists was restarted.
    """
    status = listed.get("Status", "")
    if listed.get("State") != "running" or "unhealthy" in status:
        return False
    shortest, longest = _uptime(status)
    return shortest - 5 <= now - float(listed.get("Created") or 0) <= longest + 5


def network(found: Json) -> ObservedNetwork:
    """A network, with its subnets."""
    ranges = (found.get("IPAM") or {}).get("Config") or []
    return ObservedNetwork(
        name=found["Name"],
        id=found["Id"],
        instance=(found.get("Labels") or {}).get(labels.INSTANCE, ""),
        subnets=tuple((entry["Subnet"], _gateway(entry)) for entry in ranges if entry.get("Subnet")),
        driver=found.get("Driver", ""),
        internal=bool(found.get("Internal")),
    )


def volume(found: Json) -> ObservedVolume:
    """A volume."""
    own = found.get("Labels") or {}
    return ObservedVolume(name=found["Name"], instance=own.get(labels.INSTANCE, ""), driver=found.get("Driver", ""))


def image(reference: str, found: Json) -> ObservedImage:
    """A local image, as asked for by `reference`."""
    config = found.get("Config") or {}
    ports = [entry.partition("/") for entry in config.get("ExposedPorts") or {}]
    test = (config.get("Healthcheck") or {}).get("Test")
    return ObservedImage(
        reference=reference,
        id=found["Id"],
        digest=digest_of(reference, found.get("RepoDigests") or ()),
        size=found.get("Size", 0),
        exposed=tuple(sorted(int(port) for port, _, protocol in ports if protocol in {"tcp", ""})),
        health=tuple(test) if test else None,
        has_entrypoint=bool(config.get("Entrypoint")),
        labels=tuple(sorted((config.get("Labels") or {}).items())),
        created=found.get("Created", ""),
    )


def digest_of(reference: str, digests: Iterable[str]) -> str | None:
    """The registry digest under the repository that `reference` names."""
    named = familiar(reference)
    repository = named.partition("@")[0] if "@" in named else named.rpartition(":")[0]
    for entry in digests:
        name, _, digest = entry.partition("@")
        if name == repository:
            return digest
    return None


def familiar(reference: str) -> str:
    """The reference as the engine lists it: `docker.io/library/redis` is `redis:latest`."""
    short = reference
    for prefix in ("docker.io/", "index.docker.io/", "library/"):
        short = short.removeprefix(prefix)
    name, at, digest = short.partition("@")
    last = name.rpartition("/")[2]
    if at:
        return f"{name.removesuffix(last)}{last.partition(':')[0]}@{digest}"
    return name if ":" in last else f"{name}:latest"


def seconds(text: str) -> float:
    """Seconds since the epoch of the engine's RFC 3339 times (nanoseconds included); 0 for its zero time."""
    found = re.fullmatch(r"(\d{4})(-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text)
    if found is None or found[1] == "0001":
        return 0.0
    zone = "+00:00" if found[4] == "Z" else found[4]
    return datetime.fromisoformat(f"{found[1]}{found[2]}{zone}").timestamp() + float(f"0.{found[3] or 0}")


def _first_name(listed: Json) -> str:
    """Its own name; links add others that contain a slash."""
    names = [name.lstrip("/") for name in listed.get("Names") or ()]
    return next((name for name in names if "/" not in name), str(listed["Id"])[:12])


def _addresses(networks: Json) -> tuple[tuple[str, str], ...]:
    found = [(name, endpoint.get("IPAddress") or "") for name, endpoint in networks.items()]
    return tuple(sorted((name, address) for name, address in found if address))


def _gateway(entry: Json) -> str | None:
    gateway = entry.get("Gateway") or ""
    return gateway.partition("/")[0] or None


def _listed_health(status: str) -> HealthState:
    found = re.search(r"\((healthy|unhealthy|health: starting)\)", status)
    return _HEALTH[found[1]] if found else HealthState.NONE


_UNITS = {
    "second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400, "month": 30 * 86400, "year": 365 * 86400,
}  # fmt: skip


def _uptime(status: str) -> tuple[float, float]:
    """The shortest and longest time that the engine's `Up 3 minutes` can mean."""
    if found := re.match(r"Up (\d+|About an?|Less than a) (second|minute|hour|day|week|month|year)", status):
        count = int(found[1]) if found[1].isdigit() else 0 if found[1].startswith("Less") else 1
        unit = _UNITS[found[2]]
        return (max(0, count - 1) * unit, (count + 1) * unit)
    return (0.0, 0.0)
