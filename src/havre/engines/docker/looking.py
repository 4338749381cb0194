"""What a diagnosis asks of the Docker Engine: where a container listens, and how its processes ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.engines.docker import labels
from havre.engines.docker.client import DockerClient
from havre.host import clock
from havre.host.listening import listening_addresses
from havre.model.diagnosis import Death

Json = Mapping[str, Any]


def listens(client: DockerClient, found: Json) -> tuple[tuple[str, int], ...] | None:
    """Where an inspected container accepts connections; None when its engine is on another machine."""
    pid = found["State"].get("Pid")
    return listening_addresses(pid) if client.is_local and pid else None


def deaths(client: DockerClient, instance: str, since: float) -> Mapping[tuple[str, int], tuple[Death, ...]]:
    """Ends of containers among the engine's events; it remembers the last few hundred of all containers alone.

    The engine tells of a kill for memory in an event of its own, just before the end.
    """
    wanted = {"type": ["container"], "event": ["die", "oom"]} | labels.select(instance)
    query = {"since": f"{since:.3f}", "until": f"{clock.now():.3f}", "filters": wanted}
    found: dict[tuple[str, int], list[Death]] = {}
    killed: set[str] = set()
    with client.stream("GET", "/events", query, doing="read what happened to replicas") as events:
        for event in events.messages():
            if event["Action"] == "oom":
                killed.add(event["id"])
                continue
            own = event["Actor"]["Attributes"]
            code = own.get("exitCode", "")
            death = Death(
                at=event["timeNano"] / 1e9,
                exit_code=int(code) if code.isdigit() else None,
                oom=event["id"] in killed,
            )
            killed.discard(event["id"])
            found.setdefault((own.get(labels.SERVICE, ""), labels.number(own, labels.SLOT)), []).append(death)
    return {place: tuple(each) for place, each in found.items()}
