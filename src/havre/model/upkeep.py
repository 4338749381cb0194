"""What takes room on a server, and what of it may go: facts that engines gather, and a choice made of them."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """What sort of thing takes the room."""

    IMAGE = "image"
    LAYERS = "shared layers"
    CONTAINER = "container"
    VOLUME = "volume"
    LOG = "log"
    CACHE = "build cache"
    DEPENDENCIES = "dependencies"
    BACKUPS = "backups"
    STATE = "state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Something that takes room. `size` is the bytes that come free when it alone goes (layers shared with others
    are not among them); `instance` is empty when Havre did not make it; `created` is seconds since the epoch.

    `in_use` is True while a container, running or stopped, or anything else stands on it.
    """

    kind: Kind
    id: str
    size: int
    names: tuple[str, ...] = ()
    instance: str = ""
    in_use: bool = False
    created: float = 0.0

    @property
    def name(self) -> str:
        """What people call it."""
        return self.names[0] if self.names else self.id.removeprefix("sha256:")[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One thing that may go, and why."""

    stored: Stored
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A failed replica or one-off that was kept to be looked at."""

    instance: str
    service: str
    slot: int
    release: int
    role: str = "replica"

    def __str__(self) -> str:
        what = "" if self.role == "replica" else f" ({self.role})"
        return f"{self.service}.{self.slot}{what} of release {self.release}"
