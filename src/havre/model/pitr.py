"""What is kept of a PostgreSQL server's write-ahead log: chains of log without a gap, their base backups, shipments.

A chain begins with a replication slot and ends with the first byte that was lost. A base backup can be carried to any
moment up to the end of its chain's log, so neither counts without the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Log received without a gap from one server; times are seconds since the epoch, positions bytes of log."""

    id: str
    system: str
    """The server's own identifier: another one means another server."""
    segment: int
    """Bytes in a file of the log."""
    timeline: int
    start: int
    began: float
    ended: float | None = None
    reason: str = ""
    """Why it ended."""

    @property
    def slot(self) -> str:
        """The name of its replication slot."""
        return f"havre_{self.id.replace('-', '_')}"

    @property
    def is_open(self) -> bool:
        """True while log is added to it."""
        return self.ended is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """One base backup: the files of the whole server, to be replayed from `start`, whole from `end` on."""

    id: str
    instance: str
    service: str
    chain: Chain
    began: float
    ended: float
    start: int
    end: int
    size: int
    files: int
    repository: str
    restic: str
    image: str = ""
    version: str = ""
    added: int = 0
    """Bytes by which the repository grew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """Files of the log in the repository, `first` to `last` by number; everything before `until` is in them."""

    id: str
    chain: str
    first: int
    last: int
    is_partial: bool
    """The last file was still being written."""
    until: float
    position: int = 0
    """Replaying it reaches this position of the log; 0 where that was not known."""
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Any moment from `since` to `until` can be restored."""

    since: float
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """Everything known of one service's log; `known_until` is how far the open chain reaches on this server."""

    chains: tuple[Chain, ...] = ()
    bases: tuple[Base, ...] = ()
    shipments: tuple[Shipment, ...] = ()
    known_until: float = 0.0
    shipped_to: int = 0
    """The position of the log up to which everything is in the repository."""
    trouble: str = ""
    """Why the last work on it failed."""
    uncopied: tuple[tuple[str, str], ...] = ()
    """(destination, base or shipment) that is in the first repository and not there yet."""

    @property
    def open_chain(self) -> Chain | None:
        """The chain that log is added to now."""
        return next((chain for chain in reversed(self.chains) if chain.is_open), None)

    def of_chain(self, chain: str) -> tuple[Shipment, ...]:
        """Its shipments, oldest first."""
        return tuple(sorted((s for s in self.shipments if s.chain == chain), key=lambda s: (s.last, s.until)))

    def bases_of(self, chain: str) -> tuple[Base, ...]:
        """Its base backups, oldest first."""
        return tuple(sorted((b for b in self.bases if b.chain.id == chain), key=lambda b: b.ended))

    def with_chain(self, chain: Chain) -> Archive:
        """The same with this chain added, or in place of the one with its id."""
        others = tuple(one for one in self.chains if one.id != chain.id)
        return replace(self, chains=(*others, chain))
