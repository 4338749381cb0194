"""Where a process's network listens, for telling a wrong port from a program that is not up yet."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

_LISTENING = "0A"
_DOCKER_DNS = "127.0.0.11"


def listening_addresses(pid: int, *, proc: Path = Path("/proc")) -> tuple[tuple[str, int], ...]:
    """(address, port) of every TCP socket that accepts connections in the process's own network; empty when unseen."""
    found = {
        (address, port)
        for table in ("tcp", "tcp6")
        for address, port in _sockets(proc / str(pid) / "net" / table)
        if address != _DOCKER_DNS
    }
    return tuple(sorted(found, key=lambda entry: (entry[1], entry[0])))


def _sockets(table: Path) -> list[tuple[str, int]]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []  # the process has ended, or is not on this machine
    words = [line.split() for line in lines]
    return [_parse(entry[1]) for entry in words if len(entry) > 3 and entry[3] == _LISTENING]


def _parse(text: str) -> tuple[str, int]:
    """The kernel writes addresses in words of four bytes, each in the machine's own order."""
    address, _, port = text.partition(":")
    raw = b"".join(bytes.fromhex(address[start : start + 8])[::-1] for start in range(0, len(address), 8))
    if len(raw) == 4:
        return str(IPv4Address(raw)), int(port, 16)
    address6 = IPv6Address(raw)
    return str(address6.ipv4_mapped or address6), int(port, 16)
