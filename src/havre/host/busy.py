"""Who uses this machine: CPU over a moment and memory now, summed by container, or by program outside of any."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from havre.host import clock
from havre.model.diagnosis import Busy, Load

PROC = Path("/proc")
MOMENT = 0.5
_CONTAINER = re.compile(r"[0-9a-f]{64}")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose a container or a process is; without an instance it is not Havre's."""

    name: str
    instance: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True)
class _Process:
    ticks: int
    memory: int
    group: str


def measure(owners: Mapping[str, Owner], *, proc: Path = PROC) -> Load:
    """Look twice, a moment apart. `owners` are by container id, and by `pid N` where replicas are plain processes."""
    before, machine, began = dict(_processes(proc, owners)), _machine(proc), clock.elapsed()
    clock.sleep(MOMENT)
    passed = clock.elapsed() - began
    after, later = dict(_processes(proc, owners)), _machine(proc)
    found: dict[Owner, tuple[float, int]] = {}
    for pid, one in after.items():
        spent = max(0, one.ticks - before[pid].ticks) if pid in before else one.ticks
        owner = owners.get(one.group) or _stranger(one.group)
        cpu, memory = found.get(owner, (0.0, 0))
        found[owner] = (cpu + spent / _TICKS / passed * 100, memory + one.memory)
    busiest = [_busy(owner, cpu, memory) for owner, (cpu, memory) in found.items()]
    idle, total = (late - early for late, early in zip(later, machine, strict=True))
    ranked = tuple(sorted(busiest, key=lambda one: (-round(one.cpu), -one.memory, one.name)))
    return Load(idle=idle / total if total else 1.0, busiest=ranked)


def _busy(owner: Owner, cpu: float, memory: int) -> Busy:
    return Busy(name=owner.name, instance=owner.instance, service=owner.service, cpu=round(cpu, 1), memory=memory)


def _stranger(group: str) -> Owner:
    return Owner(name=f"container {group[:12]}" if _CONTAINER.fullmatch(group) else group)


def _processes(proc: Path, owners: Mapping[str, Owner]) -> Iterator[tuple[int, _Process]]:
    for entry in proc.iterdir():
        is_other = entry.name.isdigit() and entry.name != str(os.getpid())
        if is_other and (found := _process(entry, owners)):
            yield int(entry.name), found


def _process(entry: Path, owners: Mapping[str, Owner]) -> _Process | None:
    """None for a process that has ended, and for the kernel's own, which have no memory."""
    try:
        head, _, rest = (entry / "stat").read_text(errors="replace").rpartition(")")
        groups = (entry / "cgroup").read_text(errors="replace")
    except OSError:
        return None
    words = rest.split()
    memory = int(words[21]) * _PAGE
    if not memory:
        return None
    container = _CONTAINER.search(groups)
    own = f"pid {entry.name}"
    group = own if own in owners else container[0] if container else head.partition("(")[2]
    return _Process(ticks=int(words[11]) + int(words[12]), memory=memory, group=group)


def _machine(proc: Path) -> tuple[int, int]:
    """(idle, all) ticks of all CPUs since the start."""
    words = [int(word) for word in (proc / "stat").read_text().splitlines()[0].split()[1:9]]
    return words[3] + words[4], sum(words)
