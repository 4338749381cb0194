"""What machine this is: its operating system, its own addresses, and whether its clock is kept in step."""

from __future__ import annotations

import ctypes
import platform
import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv6Address, ip_address
from itertools import pairwise
from pathlib import Path

from havre.model.server import System

ROOT = Path("/")
_BINARIES = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin", "snap/bin")
_LIBC = ctypes.CDLL(None, use_errno=True)
_UNSYNCHRONISED = 5
"""What adjtimex(2) answers (TIME_ERROR) while nothing keeps the clock in step."""

_TIMEX_BYTES = 512
"""More than `struct timex` needs on any architecture."""


def read_system(root: Path = ROOT) -> System:
    """Look once; what cannot be known here is empty or None."""
    release = _release(root)
    return System(
        hostname=platform.node(),
        name=release.get("PRETTY_NAME", platform.system()),
        id=release.get("ID", ""),
        version=release.get("VERSION_ID", ""),
        kernel=platform.release(),
        architecture=platform.machine(),
        clock_in_step=clock_in_step(),
        programs=_programs(root),
        addresses=tuple(dict.fromkeys((*_addresses_4(root), *_addresses_6(root)))),
        uptime=float(next(iter(_lines(root / "proc/uptime")), "0").split()[0]),
    )


def clock_in_step() -> bool | None:
    """Whether something (chrony, timesyncd, ntpd) disciplines the kernel's clock; None where it will not say."""
    state = _LIBC.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else state != _UNSYNCHRONISED


def _programs(root: Path) -> frozenset[str]:
    return frozenset(path.name for directory in _BINARIES for path in (root / directory).glob("*"))


def _release(root: Path) -> Mapping[str, str]:
    """/etc/os-release: shell assignments, some of them quoted."""
    for name in ("etc/os-release", "usr/lib/os-release"):
        path = root / name
        if path.is_file():
            pairs = (line.partition("=") for line in path.read_text(errors="replace").splitlines())
            return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs if key}
    return {}


def _addresses_4(root: Path) -> Iterator[str]:
    """The kernel's table of local addresses: a line `32 host LOCAL` follows each of them."""
    lines = _lines(root / "proc/net/fib_trie")
    for before, line in pairwise(lines):
        found = re.match(r"\s*\|--\s+(\S+)", before)
        if found and "/32 host LOCAL" in line and not ip_address(found[1]).is_loopback:
            yield found[1]


def _addresses_6(root: Path) -> Iterator[str]:
    for line in _lines(root / "proc/net/if_inet6"):
        address = IPv6Address(bytes.fromhex(line.split()[0]))
        if not address.is_loopback and not address.is_link_local:
            yield str(address)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # no such protocol in this kernel
        return []
