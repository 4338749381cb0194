"""Which loopback addresses and user ids belong to whom on this server: given once, written down, given back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from havre.errors import Problem, RefusedError
from havre.host.files import write_atomic
from havre.host.locks import exclusive

FIRST_USER = 1_900_000_000
"""Ids from here on belong to nobody: beyond people, services, containers and dynamic users."""

FIRST_HOST, LAST_HOST = 16, 250
"""Hosts 2 to 15 of a block are left to the edge."""

_BLOCKS = 64 * 256


@dataclass(slots=True)
class _Book:
    blocks: dict[str, int] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    """The host number given last in each block: a new replica never gets the address of one that just left."""


class Allocations:
    """The book of a state directory; safe for several commands at once."""

    def __init__(self, state: Path) -> None:
        self._path = state / "allocations.json"
        self._lock = state / "allocations.lock"
        digest = hashlib.sha256(str(state.resolve()).encode()).digest()
        self._first_block = int.from_bytes(digest[:2]) % _BLOCKS

    def address(self, instance: str, replica: str) -> str:
        """The address of a replica (`web.2`), the same until it is given back."""
        with self._book() as book:
            key = f"{instance}/{replica}"
            if key not in book.addresses:
                book.addresses[key] = self._free_address(book, instance)
            return book.addresses[key]

    def network(self, name: str) -> tuple[str, str]:
        """(subnet, gateway) of a network."""
        with self._book() as book:
            prefix = self._prefix(book, f"network:{name}")
        return f"{prefix}.0/24", f"{prefix}.1"

    def user(self, instance: str) -> int:
        """The user id under which root runs the replicas of an instance."""
        with self._book() as book:
            if instance not in book.users:
                book.users[instance] = max(book.users.values(), default=FIRST_USER - 1) + 1
            return book.users[instance]

    def release_address(self, instance: str, replica: str) -> None:
        """Give the address of a removed replica back."""
        with self._book() as book:
            book.addresses.pop(f"{instance}/{replica}", None)

    def release_network(self, name: str) -> None:
        """Give the subnet of a removed network back."""
        with self._book() as book:
            book.blocks.pop(f"network:{name}", None)

    @contextmanager
    def _book(self) -> Iterator[_Book]:
        with exclusive(self._lock, what="the book of addresses", doing="allocate", wait=30.0):
            before = self._path.read_bytes() if self._path.exists() else b"{}"
            book = msgspec.json.decode(before, type=_Book)
            yield book
            after = msgspec.json.encode(book)
            if after != before:
                write_atomic(self._path, after, mode=0o600)

    def _free_address(self, book: _Book, instance: str) -> str:
        prefix = self._prefix(book, f"instance:{instance}")
        used = set(book.addresses.values())
        size = LAST_HOST - FIRST_HOST + 1
        first = book.last.get(instance, FIRST_HOST - 1) + 1 - FIRST_HOST
        for offset in range(size):
            host = FIRST_HOST + (first + offset) % size
            if f"{prefix}.{host}" not in used:
                book.last[instance] = host
                return f"{prefix}.{host}"
        raise RefusedError(_full(instance, size))

    def _prefix(self, book: _Book, owner: str) -> str:
        if owner not in book.blocks:
            taken = set(book.blocks.values())
            candidates = ((self._first_block + offset) % _BLOCKS for offset in range(_BLOCKS))
            book.blocks[owner] = next(
                block for block in candidates if block not in taken and not _in_use(_block_prefix(block))
            )
        return _block_prefix(book.blocks[owner])


def _block_prefix(block: int) -> str:
    return f"127.{64 + block // 256}.{block % 256}"


def _in_use(prefix: str) -> bool:
    """True when something on this server already listens in that block (another state directory's engine)."""
    octets = bytes(int(octet) for octet in prefix.split("."))
    wanted = octets[::-1].hex().upper()
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[1][2:8] == wanted:
            return True
    return False


def _full(instance: str, size: int) -> Problem:
    return Problem(
        summary=f"{instance} already has {size} replicas, and no more loopback addresses",
        hint="run fewer replicas (`havre scale SERVICE=N`)",
        code="process-addresses",
    )
