"""Memory, CPU and process limits by control groups, version 1 or 2, where this user may make them."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_ROOT = "/sys/fs/cgroup"
_LEAF = "havre-supervisor"
_PERIOD = 100_000

CONTROLLERS = (("memory", "memory"), ("cpus", "cpu"), ("pids", "pids"))
"""The kinds of limits, and what the kernel calls the controller of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a replica may use; 0 means no limit."""

    memory: int = 0
    cpus: float = 0.0
    pids: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The limits that are asked for, in words."""
        asked = (("memory", self.memory), ("cpus", self.cpus), ("pids", self.pids))
        return tuple(name for name, value in asked if value)


class Groups:
    """The control groups of one supervisor; `parents` are the directories they lie in, by kind of limit."""

    def __init__(self, parents: Mapping[str, str]) -> None:
        self._parents = parents
        self._unified = os.path.exists(f"{_ROOT}/cgroup.controllers")

    def make(self, name: str, limits: Limits) -> tuple[str, ...]:
        """Make the replica's groups and set its limits; returns the names of those that are not enforced."""
        failed = []
        for kind in ("memory", "cpus", "pids"):
            try:
                self._set(kind, name, limits)
            except OSError:
                failed.append(kind)
        return tuple(kind for kind in limits.names if kind in failed or kind not in self._parents)

    def join(self, name: str) -> None:
        """Put the calling process into the replica's groups."""
        for path in self._paths(name):
            with contextlib.suppress(OSError):  # a limit that cannot be joined was reported by `make`
                _write(f"{path}/cgroup.procs", "0")

    def members(self, name: str) -> tuple[int, ...]:
        """The processes in the replica's groups."""
        found: set[int] = set()
        for path in self._paths(name):
            found.update(int(pid) for pid in _read(f"{path}/cgroup.procs").split())
        return tuple(sorted(found))

    def remove(self, name: str) -> None:
        """Remove the replica's groups once they are empty."""
        for path in self._paths(name):
            with contextlib.suppress(OSError):  # still in use: the next removal gets it
                os.rmdir(path)

    def dismantle(self) -> None:
        """Remove what all groups lay in; nothing is kept any more."""
        for path in set(self._parents.values()):
            with contextlib.suppress(OSError):  # somebody is still in there
                os.rmdir(path)

    def out_of_memory(self, name: str) -> int:
        """How often the kernel killed a process of the replica for want of memory."""
        path = self._parents.get("memory")
        if path is None:
            return 0
        file = "memory.events" if self._unified else "memory.oom_control"
        return _counted(_read(f"{path}/{name}/{file}"), "oom_kill")

    def memory(self, name: str) -> tuple[int | None, int | None]:
        """(bytes used now, most ever used), without the page cache that can be given back."""
        path = self._parents.get("memory")
        if path is None:
            return None, None
        used = "memory.current" if self._unified else "memory.usage_in_bytes"
        most = "memory.peak" if self._unified else "memory.max_usage_in_bytes"
        cache = _counted(_read(f"{path}/{name}/memory.stat"), "inactive_file", "total_inactive_file")
        now = _number(f"{path}/{name}/{used}")
        return (None if now is None else max(now - cache, 0)), _number(f"{path}/{name}/{most}")

    def _set(self, kind: str, name: str, limits: Limits) -> None:
        parent = self._parents.get(kind)
        if parent is None:
            return
        path = f"{parent}/{name}"
        os.makedirs(path, exist_ok=True)
        for file, value in _settings(kind, limits, unified=self._unified):
            _write(f"{path}/{file}", value)

    def _paths(self, name: str) -> Iterator[str]:
        for parent in sorted(set(self._parents.values())):
            yield f"{parent}/{name}"


def _settings(kind: str, limits: Limits, *, unified: bool) -> Iterator[tuple[str, str]]:
    if kind == "memory" and limits.memory:
        yield ("memory.max" if unified else "memory.limit_in_bytes"), str(limits.memory)
    if kind == "pids" and limits.pids:
        yield "pids.max", str(limits.pids)
    if kind == "cpus" and limits.cpus:
        quota = max(int(limits.cpus * _PERIOD), 1000)
        if unified:
            yield "cpu.max", f"{quota} {_PERIOD}"
        else:
            yield "cpu.cfs_period_us", str(_PERIOD)
            yield "cpu.cfs_quota_us", str(quota)


def usable_parents(name: str) -> dict[str, str]:
    """Where this user may make groups for each kind of limit; `name` is unique to a state directory."""
    return dict(_usable_parents(name))


def _usable_parents(name: str) -> Iterator[tuple[str, str]]:
    for kind, controller in CONTROLLERS:
        path = _unified_parent(name, controller) or _separate_parent(name, controller)
        if path is not None:
            yield kind, path


def _unified_parent(name: str, controller: str) -> str | None:
    """Version 2: below the highest group that was left to this user, which for root is the root of all."""
    base = _delegated()
    if base is None:
        return None
    path = f"{base}/havre/{name}"
    try:
        os.makedirs(path, exist_ok=True)
        for directory in (base, f"{base}/havre", path):
            _hand_down(directory, controller)
    except OSError:
        return None
    return path


def _delegated() -> str | None:
    """The group nearest to the root, from our own upwards, that this user may divide; None when there is none.

    Between our own group and those of the replicas all must be ours: the kernel lets nobody else move processes.
    """
    own = next((line[3:] for line in _read("/proc/self/cgroup").splitlines() if line.startswith("0::")), None)
    if own is None or not os.path.exists(f"{_ROOT}/cgroup.controllers"):
        return None
    found, path = None, f"{_ROOT}{own}".rstrip("/")
    while path.startswith(_ROOT) and _may_divide(path):
        found, path = path, os.path.dirname(path)
    return found


def _may_divide(path: str) -> bool:
    return os.access(path, os.W_OK) and all(
        os.access(f"{path}/{file}", os.W_OK) for file in ("cgroup.procs", "cgroup.subtree_control")
    )


def _hand_down(directory: str, controller: str) -> None:
    """Let the groups below have that controller; a group with processes of its own may not: we make room."""
    if controller in _read(f"{directory}/cgroup.subtree_control").split():
        return
    try:
        _write(f"{directory}/cgroup.subtree_control", f"+{controller}")
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        os.makedirs(f"{directory}/{_LEAF}", exist_ok=True)
        _write(f"{directory}/{_LEAF}/cgroup.procs", "0")
        _write(f"{directory}/cgroup.subtree_control", f"+{controller}")


def _separate_parent(name: str, controller: str) -> str | None:
    """Version 1: below the group this process is in, so that whoever accounts for it still does."""
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, own = line.split(":", 2)
        if controller not in controllers.split(","):
            continue
        path = f"{_ROOT}/{controller}{'' if own == '/' else own}/havre/{name}"
        try:
            os.makedirs(path, exist_ok=True)
        except OSError:
            return None
        return path if os.access(path, os.W_OK) else None
    return None


def _counted(text: str, *names: str) -> int:
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name in names:
            return int(value)
    return 0


def _number(path: str) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)
