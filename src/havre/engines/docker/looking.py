"""What a diagnosis asks of the Docker Engine: where a container listens, what is full, and how processes ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.engines.docker import labels
from havre.engines.docker.client import DockerClient
from havre.engines.docker.containers import Containers
from havre.engines.docker.usage import CGROUPS, PLACES
from havre.host import clock
from havre.host.busy import Owner
from havre.host.filling import full_file_systems
from havre.host.listening import listening_addresses
from havre.model.diagnosis import Death
from havre.model.launch import AppliedPolicy

Json = Mapping[str, Any]

_AT_ONCE = 5.0
"""Seconds within which a container's end belongs to the kill before it."""


def listens(client: DockerClient, found: Json) -> tuple[tuple[str, int], ...] | None:
    """Where an inspected container accepts connections; None when its engine is on another machine."""
    pid = found["State"].get("Pid")
    return listening_addresses(pid) if client.is_local and pid else None


def kills(container: str) -> int:
    """Processes of a running container that the kernel killed for memory, as its control group counts them."""
    for place in PLACES:
        for hierarchy, file in ((CGROUPS / "memory", "memory.oom_control"), (CGROUPS, "memory.events")):
            try:
                lines = (hierarchy / place.format(container) / file).read_text().splitlines()
            except OSError:
                continue
            return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
    return 0


def full_inside(client: DockerClient, found: Json) -> tuple[tuple[str, int, int], ...]:
    """The full file systems of an inspected container; none are known when its engine is on another machine."""
    pid = found["State"].get("Pid")
    return full_file_systems(pid) if client.is_local and pid else ()


def owners(client: DockerClient) -> Mapping[str, Owner] | None:
    """Whose every container is, strangers' included; None when they run on another machine."""
    if not client.is_local:
        return None
    return {entry["Id"]: _owner(entry) for entry in client.get("/containers/json", doing="list all containers")}


def _owner(entry: Json) -> Owner:
    own = entry.get("Labels") or {}
    service = own.get(labels.SERVICE, "")
    name = f"{service}.{own.get(labels.SLOT, '')}" if service else f"container {entry['Names'][0].lstrip('/')}"
    return Owner(name=name, instance=own.get(labels.INSTANCE, ""), service=service)


def deaths(client: DockerClient, instance: str, since: float) -> Mapping[str, tuple[Death, ...]]:
    """Ends of processes by container id, from the engine's events; it remembers the last few hundred of them.

    A kill for memory is an event of its own: the container's end follows at once, unless only a child was killed.
    """
    wanted = {"type": ["container"], "event": ["die", "oom"]} | labels.select(instance)
    query = {"since": f"{since:.3f}", "until": f"{clock.now():.3f}", "filters": wanted}
    found: dict[str, list[Death]] = {}
    with client.stream("GET", "/events", query, doing="read what happened to replicas") as events:
        for event in events.messages():
            _note(found.setdefault(event["id"], []), event)
    return {container: tuple(each) for container, each in found.items()}


def policies(containers: Containers, instance: str) -> tuple[AppliedPolicy, ...]:
    """How the running containers of an instance are kept: what the engine applied, its own defaults included."""
    found = []
    for entry in containers.listed(instance):
        if entry["State"] == "running" and entry["Labels"].get(labels.ROLE) == "replica":
            inspected = containers.inspect(entry["Id"], doing="look how a replica is kept")
            if inspected is not None:
                found.append(_policy(entry["Labels"], inspected["HostConfig"]))
    return tuple(sorted(found, key=lambda one: (one.service, one.slot)))


def _policy(marks: Mapping[str, str], host: Json) -> AppliedPolicy:
    options = host["LogConfig"].get("Config") or {}
    return AppliedPolicy(
        service=marks[labels.SERVICE],
        slot=int(marks[labels.SLOT]),
        log_driver=host["LogConfig"]["Type"],
        log_size=options.get("max-size", ""),
        log_files=options.get("max-file", ""),
        restart=host["RestartPolicy"]["Name"] or "no",
    )


def _note(known: list[Death], event: Json) -> None:
    at = event["timeNano"] / 1e9
    if event["Action"] == "oom":
        known.append(Death(at=at, oom=True))
        return
    code = event["Actor"]["Attributes"].get("exitCode", "")
    follows = bool(known) and known[-1].oom and known[-1].exit_code is None and at - known[-1].at < _AT_ONCE
    if follows:
        known.pop()
    known.append(Death(at=at, exit_code=int(code) if code.isdigit() else None, oom=follows))
