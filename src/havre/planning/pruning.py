"""What may go: images that no kept release and no container needs, and what failed releases left behind.

Never volumes, never anything of an app that is only stopped, never anything that Havre did not make or fetch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from havre.model.observed import Observed, ReplicaState
from havre.model.release import Release, ReleaseState
from havre.model.upkeep import Kind, Leftover, Removal, Stored

LOST = (ReleaseState.FAILED, ReleaseState.UNDONE, ReleaseState.INTERRUPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What the records say. `instances` are those whose things may go: this server's own that nobody holds now.

    `needed` are the ids of the images of every release that can be returned to, `outdated` those of releases that
    can not; `fetched` the references that Havre itself has pulled. Rotated logs go when they were last written
    before `before` (seconds since the epoch).
    """

    instances: frozenset[str]
    needed: frozenset[str]
    outdated: frozenset[str] = frozenset()
    fetched: frozenset[str] = frozenset()
    before: float = 0.0
    build_cache: bool = False


def unneeded(stored: Sequence[Stored], book: Book) -> tuple[Removal, ...]:
    """What may go, the biggest first."""
    found = [Removal(stored=one, why=why) for one in stored if not one.in_use and (why := _why(one, book))]
    return tuple(sorted(found, key=lambda removal: (-removal.stored.size, removal.stored.name)))


def leftovers(instance: str, observed: Observed, releases: Mapping[int, Release]) -> Iterator[Leftover]:
    """What failed releases left, but for the newest release: `havre logs --failed` and the doctor look at that."""
    newest = max(releases, default=0)
    for replica in observed.replicas:
        release = releases.get(replica.release)
        is_over = replica.state in (ReplicaState.EXITED, ReplicaState.CREATED)
        is_lost = release is not None and release.state in LOST
        if is_over and is_lost and replica.release < newest:
            yield Leftover(
                instance=instance,
                service=replica.service,
                slot=replica.slot,
                release=replica.release,
                role=replica.role,
            )


def _why(one: Stored, book: Book) -> str:
    """Why it may go; empty for what must stay."""
    match one.kind:
        case Kind.IMAGE if one.id not in book.needed:
            return _why_image(one, book)
        case Kind.DEPENDENCIES:
            return "no prepared source uses it"
        case Kind.LOG if one.instance in book.instances and one.created < book.before:
            return "rotated, and older than asked for"
        case Kind.CONTAINER:
            return "left by a check that was cut short"
        case Kind.CACHE if book.build_cache:
            return "the next builds take longer"
        case _:
            return ""


def _why_image(one: Stored, book: Book) -> str:
    if one.instance:
        return "no release that is kept needs it" if one.instance in book.instances else ""
    if one.id in book.outdated and _was_fetched(one, book.fetched):
        return "was pulled for a release that is no longer kept"
    return ""


def _was_fetched(one: Stored, fetched: Collection[str]) -> bool:
    """True when every name it still has is one that Havre pulled: somebody else may want it under another."""
    return all(name in fetched for name in one.names)
