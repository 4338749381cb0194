"""Memory and CPU of running replicas: from control groups where there are any, else from their processes."""

from __future__ import annotations

from collections.abc import Sequence

from havre.engines.base import Usage
from havre.engines.process import proctable
from havre.engines.process.cgroups import Groups
from havre.engines.process.replicas import Found
from havre.host import clock

_WINDOW = 0.25
"""Seconds over which CPU use is measured."""


def usage_of(running: Sequence[Found], groups: Groups, *, with_cpu: bool = True) -> tuple[Usage, ...]:
    """All at once; CPU over a quarter of a second."""
    pids = {one.launch.key: pids_of(one, groups) for one in running}
    if not with_cpu:
        return tuple(_usage(one, pids[one.launch.key], groups, cpu=None) for one in running)
    before, began = {key: _ticks(found) for key, found in pids.items()}, clock.elapsed()
    clock.sleep(_WINDOW if running else 0.0)
    window = max(clock.elapsed() - began, 0.001)
    found = []
    for one in running:
        key = one.launch.key
        used = (_ticks(pids[key]) - before[key]) / proctable.TICKS
        found.append(_usage(one, pids[key], groups, cpu=max(used, 0.0) / window * 100))
    return tuple(found)


def _usage(one: Found, pids: Sequence[int], groups: Groups, *, cpu: float | None) -> Usage:
    now, most = groups.memory(group_name(one))
    if not now:
        now, most = sum(map(proctable.memory, pids)), None
    enforced = one.launch.memory and "memory" not in one.status.unenforced
    return Usage(
        service=one.launch.service,
        slot=one.launch.slot,
        memory=now,
        memory_limit=one.launch.memory if enforced else None,
        memory_peak=most,
        cpu=None if cpu is None else round(cpu, 1),
    )


def group_name(one: Found) -> str:
    """The name of a replica's control group."""
    return one.launch.key.replace("/", "_")


def pids_of(one: Found, groups: Groups) -> tuple[int, ...]:
    inside = groups.members(group_name(one))
    return inside or proctable.members(one.launch.mark, one.status.pid, one.status.namespace)


def _ticks(pids: Sequence[int]) -> int:
    return sum(found.cpu for found in map(proctable.stat, pids) if found is not None)
