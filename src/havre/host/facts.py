"""What this machine is at one moment: memory, disks, listening sockets and their holders, as the kernel says."""

from __future__ import annotations

import os
import pwd
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network
from itertools import pairwise
from pathlib import Path

from havre.host.system import read_system
from havre.model.server import Claim, Disk, Listener, ServerFacts

PROC = Path("/proc")
_LISTENING = {"tcp": "0A", "udp": "07"}
_OTHERS_NETWORKS = re.compile(r"lo$|docker|br-|veth|virbr|cni|flannel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """How to tell Havre's own processes: their pids, or anything that was started with a path below `directory`."""

    pids: frozenset[int] = frozenset()
    directory: Path | None = None


def server_facts(
    *,
    disks: Iterable[tuple[str, Path]] = (),
    claims: Iterable[Claim] = (),
    ours: Ours | None = None,
    proc: Path = PROC,
) -> ServerFacts:
    """Look once. What this user may not see is left open: a listener of another user has no pid."""
    memory = read_memory(proc)
    return ServerFacts(
        memory_total=memory.get("MemTotal", 0),
        memory_available=memory.get("MemAvailable", 0),
        swap_total=memory.get("SwapTotal", 0),
        cpus=os.cpu_count() or 1,
        disks=tuple(read_disks(disks)),
        listeners=tuple(read_listeners(proc, ours or Ours())),
        subnets=tuple(read_subnets(proc)),
        claims=tuple(claims),
        system=read_system(),
    )


def read_memory(proc: Path = PROC) -> dict[str, int]:
    """/proc/meminfo in bytes."""
    found = {}
    for line in _read(proc / "meminfo").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0]) * (1024 if words[-1] == "kB" else 1)
    return found


def read_disks(wanted: Iterable[tuple[str, Path]]) -> Iterator[Disk]:
    """The file system of each path (or of its nearest directory that exists); each one once."""
    found: dict[int, list[tuple[str, Path]]] = {}
    for purpose, path in wanted:
        there = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
        found.setdefault(there.stat().st_dev, []).append((purpose, there))
    for (purpose, there), *others in found.values():
        usage, state = shutil.disk_usage(there), os.statvfs(there)
        yield Disk(
            purpose=purpose,
            path=str(there),
            total=usage.total,
            free=usage.free,
            also=tuple(other for other, _ in others),
            files=state.f_files,
            files_free=state.f_favail,
        )


def read_listeners(proc: Path, ours: Ours) -> list[Listener]:
    """Every listening TCP socket and bound UDP socket, by port, with the process that holds it."""
    sockets = [
        (protocol, address, port, inode)
        for protocol in ("tcp", "udp")
        for address, port, inode in (*_sockets(proc, protocol, protocol), *_sockets(proc, f"{protocol}6", protocol))
    ]
    holders = _holders(proc, {inode for *_, inode in sockets})
    found = {
        _listener(proc, protocol, address, port, holders.get(inode), ours) for protocol, address, port, inode in sockets
    }
    return sorted(found, key=lambda one: (one.port, one.protocol, one.address, one.pid or 0))


def read_subnets(proc: Path = PROC) -> Iterator[tuple[str, str]]:
    """(subnet, interface) of the machine's own IPv4 networks; container bridges and loopback are left out."""
    for line in _read(proc / "net/route").splitlines()[1:]:
        words = line.split()
        if len(words) < 8 or _OTHERS_NETWORKS.match(words[0]):
            continue
        address, mask = (IPv4Address(int.from_bytes(bytes.fromhex(word), "little")) for word in (words[1], words[7]))
        network = ip_network(f"{address}/{mask}", strict=False)
        if 0 < network.prefixlen < 32:
            yield str(network), words[0]


def _sockets(proc: Path, table: str, protocol: str) -> Iterator[tuple[str, int, int]]:
    """(address, port, inode) of the sockets of one table that wait for somebody."""
    for line in _read(proc / "net" / table).splitlines()[1:]:
        words = line.split()
        if len(words) < 10 or words[3] != _LISTENING[protocol]:
            continue
        address, _, port = words[1].partition(":")
        if int(port, 16):
            yield _address(address), int(port, 16), int(words[9])


def _address(text: str) -> str:
    """The kernel writes addresses in words of four bytes, each in the machine's own order."""
    words = [bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8)]
    joined = b"".join(words)
    if len(joined) == 4:
        return str(IPv4Address(joined))
    address = IPv6Address(joined)
    return str(address.ipv4_mapped or address)


def _holders(proc: Path, inodes: Collection[int]) -> dict[int, int]:
    """The lowest pid that has each socket open; processes that are not ours to look into are passed over."""
    found: dict[int, int] = {}
    if not inodes:
        return found
    pids = sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdigit())
    for pid in pids:
        for inode in _open_sockets(proc / str(pid) / "fd"):
            if inode in inodes:
                found.setdefault(inode, pid)
    return found


def _open_sockets(directory: Path) -> Iterator[int]:
    try:
        entries = list(os.scandir(directory))
    except OSError:  # it ended meanwhile, or belongs to somebody else
        return
    for entry in entries:
        try:
            target = str(Path(entry.path).readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            yield int(target[8:-1])


def _listener(proc: Path, protocol: str, address: str, port: int, pid: int | None, ours: Ours) -> Listener:
    if pid is None:
        return Listener(port=port, address=address, protocol=protocol)
    program = _read(proc / str(pid) / "comm").strip()
    return Listener(
        port=port,
        address=address,
        protocol=protocol,
        pid=pid,
        program=program,
        user=_user(proc / str(pid)),
        detail=_container(_arguments(proc / str(pid))) if program.startswith("docker-proxy") else "",
        ours=_is_ours(proc, pid, ours),
    )


def _is_ours(proc: Path, pid: int, ours: Ours) -> bool:
    """Whether the process, or one it descends from, is Havre's."""
    below = f"{ours.directory}/" if ours.directory else None
    seen: set[int] = set()
    while pid > 1 and pid not in seen:
        arguments = _arguments(proc / str(pid)) if below else ()
        if pid in ours.pids or any(below and below in f"{argument}/" for argument in arguments):
            return True
        seen.add(pid)
        pid = int(_status(proc / str(pid)).get("PPid", "0"))
    return False


def _arguments(process: Path) -> list[str]:
    return _read(process / "cmdline").split("\0")


def _user(process: Path) -> str:
    uid = _status(process).get("Uid", "").split()
    if not uid:
        return ""
    try:
        return pwd.getpwuid(int(uid[0])).pw_name
    except KeyError:
        return uid[0]


def _status(process: Path) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in _read(process / "status").splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _container(arguments: list[str]) -> str:
    """The address a docker-proxy leads to; its name is the engine's to tell."""
    pairs = dict(pairwise(arguments))
    address = pairs.get("-container-ip")
    return f"for the container at {address}:{pairs.get('-container-port', '')}" if address else "for a container"


def _read(path: Path) -> str:
    """A file of /proc; nothing when it is gone or not ours to read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
