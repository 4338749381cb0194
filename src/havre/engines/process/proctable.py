"""What the kernel says about processes: who is alive, who belongs to a replica, what they use and where they listen."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

MARK = "HAVRE_REPLICA"
"""Every process of a replica carries this variable with the replica's mark, so that none is lost sight of."""

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """One line of /proc/PID/stat; `started` is in clock ticks since boot, `cpu` in ticks used so far."""

    pid: int
    parent: int
    session: int
    state: str
    started: int
    cpu: int


@cache
def boot_id() -> str:
    """Changes with every boot: a pid recorded under another one means nothing."""
    return _read("/proc/sys/kernel/random/boot_id").decode().strip()


def stat(pid: int) -> Stat | None:
    """The process with that pid, or None when there is none."""
    text = _read(f"/proc/{pid}/stat").decode(errors="replace")
    if not text:
        return None
    fields = text.rpartition(")")[2].split()
    return Stat(
        pid=pid,
        parent=int(fields[1]),
        session=int(fields[3]),
        state=fields[0],
        started=int(fields[19]),
        cpu=int(fields[11]) + int(fields[12]),
    )


def is_alive(pid: int, started: int, boot: str) -> bool:
    """True while the process that had this pid, start and boot still runs; a reused pid never counts."""
    if not pid or boot != boot_id():
        return False
    found = stat(pid)
    return found is not None and found.started == started and found.state not in "ZX"


def open_mount_namespace(pid: int) -> int:
    """A handle of the process's mount namespace: while it is open, nobody else's gets its number; -1 when gone."""
    try:
        return os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def mount_namespace(pid: int) -> int:
    """The inode of the process's mount namespace, or 0 when it cannot be seen."""
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino
    except OSError:
        return 0


def members(mark: str, pid: int, namespace: int = 0) -> tuple[int, ...]:
    """Every living process of a replica: its session, its descendants, its namespace, and whoever carries its mark.

    `pid` (else -1) and `namespace` (else 0) must be known to be the replica's own still: the kernel gives both
    numbers to others once they are free.
    """
    table = {found.pid: found for found in _all()}
    family = set(descendants(table.values(), pid))
    wanted = f"{MARK}={mark}".encode() if mark else b""
    found = []
    for entry in table.values():
        if entry.state in "ZX" or entry.pid == os.getpid():
            continue
        inside = entry.pid in family or entry.session == pid
        if inside or (namespace and mount_namespace(entry.pid) == namespace) or _carries(entry.pid, wanted):
            found.append(entry.pid)
    return tuple(found)


def descendants(table: Iterable[Stat], pid: int) -> Iterator[int]:
    """`pid` and every process below it."""
    children: dict[int, list[int]] = {}
    for entry in table:
        children.setdefault(entry.parent, []).append(entry.pid)
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(children.get(current, ()))


def memory(pid: int) -> int:
    """Bytes of memory that are the process's own, with its share of what it shares; 0 when it is gone."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * PAGE if fields else 0


def listening(pids: Iterable[int]) -> tuple[tuple[str, int], ...]:
    """The (address, port) pairs on which these processes listen for TCP, sorted."""
    sockets = {inode for pid in pids for inode in _socket_inodes(pid)}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in _read(f"/proc/self/net/{table}").decode().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                found.add(_address(fields[1]))
    return tuple(sorted(found))


def _all() -> Iterator[Stat]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            found = stat(int(name))
            if found is not None:
                yield found


def _carries(pid: int, wanted: bytes) -> bool:
    return bool(wanted) and wanted in _read(f"/proc/{pid}/environ").split(b"\0")


def _socket_inodes(pid: int) -> Iterator[str]:
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for name in names:
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:["):
            yield target[8:-1]


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    if len(host) == 8:
        address = ".".join(str(octet) for octet in reversed(bytes.fromhex(host)))
    elif host == "0" * 32:
        address = "::"
    elif host[:24] == "0000000000000000FFFF0000":
        address = ".".join(str(octet) for octet in reversed(bytes.fromhex(host[24:])))
    else:
        address = "::1" if host.endswith("01000000") else host.lower()
    return address, int(port, 16)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
