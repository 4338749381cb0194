"""The record of one deployment: numbered, immutable, enough to come back to."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ReleaseState(enum.Enum):
    """How a release stands; exactly one release of an instance is `SERVING`."""

    RUNNING = "under way"
    SERVING = "serving"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    UNDONE = "undone"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedImage:
    """The image a service ran in a release: the reference the user wrote and what it meant then."""

    service: str
    reference: str
    image_id: str
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One deployment. Times are seconds since the epoch; `phases` are (name, seconds)."""

    instance: str
    number: int
    state: ReleaseState
    kind: str
    """`deploy`, `rollback`, `promote`, `scale` or `restore`."""
    started_at: float
    ended_at: float | None = None
    by: str = ""
    commit: str | None = None
    dirty: bool = False
    images: tuple[PinnedImage, ...] = ()
    phases: tuple[tuple[str, float], ...] = ()
    result: str = ""
    plan: str = ""
    rolled_back_to: int | None = None
    promoted_from: str | None = None
    """`shop-staging, release 3`: whose images these are."""
    schema_head: str | None = None
    waivers: tuple[str, ...] = ()


class StepState(enum.Enum):
    """How far a journalled step got; `STARTED` with no living process means it was cut short."""

    PENDING = "pending"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One step of a release as the journal holds it; times are seconds since the epoch."""

    release: int
    number: int
    kind: str
    text: str
    phase: int
    state: StepState
    started_at: float | None = None
    ended_at: float | None = None
    error: str = ""
