"""What a container uses right now, from two readings of the engine's counters a moment apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from havre.engines.base import Usage
from havre.engines.docker import labels
from havre.engines.docker.client import DockerClient
from havre.engines.docker.snapshot import seconds
from havre.host import clock

Json = Mapping[str, Any]

_APART = 0.25
_NO_LIMIT = 1 << 60
CGROUPS = Path("/sys/fs/cgroup")
PLACES = ("docker/{}", "system.slice/docker-{}.scope")
"""Where the two cgroup drivers put a container, below the memory hierarchy (version 1) or the only one (version 2)."""


def usage_of(client: DockerClient, entry: Json, *, with_cpu: bool = True) -> Usage | None:
    """The usage of one listed container; None when it has gone meanwhile.

    The engine may take a second for each reading; memory alone is read from the kernel where that is this machine's.
    """
    own = entry["Labels"]
    service, slot = own.get(labels.SERVICE, ""), labels.number(own, labels.SLOT)
    if not with_cpu and client.is_local and (memory := _memory_here(entry["Id"])) is not None:
        return Usage(service=service, slot=slot, memory=memory[0], memory_peak=memory[1])
    before = after = _reading(client, entry["Id"])
    if with_cpu:
        clock.sleep(_APART)
        after = _reading(client, entry["Id"])
    if before is None or after is None:
        return None
    return measured(service, slot, before, after)


def measured(service: str, slot: int, before: Json, after: Json) -> Usage:
    """Usage from two readings: memory without the page cache that could be dropped, CPU in percent of one core."""
    memory = after.get("memory_stats") or {}
    limit = memory.get("limit")
    return Usage(
        service=service,
        slot=slot,
        memory=_used(memory),
        memory_limit=limit if limit and limit < _NO_LIMIT else None,
        memory_peak=memory.get("max_usage"),
        cpu=_cpu(before, after),
    )


def _memory_here(container: str) -> tuple[int, int] | None:
    """(used now, peak) from the container's control group; None where it is not found."""
    for place in PLACES:
        for hierarchy, now, peak in (
            (CGROUPS / "memory", "memory.usage_in_bytes", "memory.max_usage_in_bytes"),
            (CGROUPS, "memory.current", "memory.peak"),
        ):
            group = hierarchy / place.format(container)
            try:
                return int((group / now).read_text()), int((group / peak).read_text())
            except OSError:
                continue
    return None


def _reading(client: DockerClient, container: str) -> Json | None:
    query = {"stream": False, "one-shot": True}
    found: Json | None = client.find(f"/containers/{container}/stats", query, doing="measure a replica")
    return found


def _used(memory: Json) -> int | None:
    if "usage" not in memory:
        return None
    counters = memory.get("stats") or {}
    cache = counters.get("total_inactive_file", counters.get("inactive_file", 0))
    return max(0, int(memory["usage"]) - int(cache))


def _cpu(before: Json, after: Json) -> float | None:
    spent = _total(after) - _total(before)
    passed = seconds(after.get("read", "")) - seconds(before.get("read", ""))
    return round(spent / 1e9 / passed * 100, 1) if passed > 0 else None


def _total(reading: Json) -> int:
    return int(((reading.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage") or 0)
