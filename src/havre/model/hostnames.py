"""Host names that only mean something here: no public DNS answers for them, and no public authority certifies them."""

from __future__ import annotations

_SPECIAL = (
    "localhost", "test", "invalid", "example", "local", "internal", "home.arpa", "onion", "lan", "home", "corp",
)  # fmt: skip
"""Endings that are set apart (RFC 2606, 6761, 6762, 7686, 8375, 9476), or that everybody uses at home and at work."""

_DOCUMENTATION = ("example.com", "example.net", "example.org")


def is_local(host: str) -> bool:
    """Whether a name, or what a wildcard stands for, is one of this machine or of this network only."""
    name = plain(host)
    return "." not in name or _is_below(name, _SPECIAL)


def is_in_public_dns(host: str) -> bool:
    """Whether the public DNS may be asked for a name: it is neither local nor one of documentation's."""
    return not is_local(host) and not _is_below(plain(host), _DOCUMENTATION)


def plain(host: str) -> str:
    """A name as DNS compares it: in small letters, without a dot at the end and without `*.`."""
    return host.lower().rstrip(".").removeprefix("*.")


def _is_below(name: str, endings: tuple[str, ...]) -> bool:
    return f".{name}".endswith(tuple(f".{ending}" for ending in endings))
