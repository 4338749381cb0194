"""The file systems that a process sees, and which of them are full: its own, not the machine's disks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
LEFT = 0.02
"""Share that is free on a full file system."""

_NEVER_WRITTEN = frozenset({
    "proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "securityfs", "debugfs", "tracefs", "overlay", "squashfs",
    "iso9660", "fuse.lxcfs", "binfmt_misc", "bpf", "nsfs", "pstore",
})  # fmt: skip


def full_file_systems(pid: int, *, proc: Path = PROC) -> tuple[tuple[str, int, int], ...]:
    """(path, bytes free, bytes in all) of each that is full or has no file left; nothing where we may not look.

    What lies on the machine's own disks is left out: those are the server's to tell.
    """
    try:
        lines = (proc / str(pid) / "mounts").read_text().splitlines()
        machine = {place.stat().st_dev for place in (Path("/"), Path("/var/lib")) if place.exists()}
    except OSError:
        return ()
    return tuple(_full(lines, proc / str(pid) / "root", machine))


def _full(lines: list[str], root: Path, machine: set[int]) -> Iterator[tuple[str, int, int]]:
    for line in lines:
        _, path, kind, options, *_ = line.split()
        if kind in _NEVER_WRITTEN or "ro" in options.split(","):
            continue
        place = Path(f"{root}{path}")
        try:
            facts = os.statvfs(place)
            is_machines = place.stat().st_dev in machine
        except OSError:
            continue
        total, free = facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize
        has_no_file_left = facts.f_files > 0 and facts.f_favail == 0
        if not is_machines and total and (free < LEFT * total or has_no_file_left):
            yield path, free, total
