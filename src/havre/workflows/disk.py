"""What takes the room on this server, and letting go of what no release needs: `havre disk`, `havre prune`.

Retention after a release is the same choice, made for one instance and for images alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from havre.engines.base import Context, Upkeep
from havre.errors import BusyError, HavreError
from havre.host import clock
from havre.host.locks import exclusive, is_held
from havre.host.sizes import size_of
from havre.model.plan import RemoveReplica
from havre.model.project import Project
from havre.model.release import Release
from havre.model.upkeep import Kind, Leftover, Removal, Stored
from havre.planning.pruning import Book, leftovers, unneeded
from havre.workflows.release_work import note
from havre.workflows.server import Server
from havre.workflows.settings import read_settings

DAY = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the user asks to go: rotated logs older than `log_days`, and whether the build cache shall go."""

    log_days: float = 30.0
    build_cache: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What may go on one engine; `held` are the instances that are left alone because a command holds them."""

    removals: tuple[Removal, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    held: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes that come free at least: layers that only the removed images share are not counted."""
        return sum(removal.stored.size for removal in self.removals)

    @property
    def is_empty(self) -> bool:
        """True when nothing may go."""
        return not self.removals and not self.leftovers


def consumers(server: Server) -> tuple[Stored, ...]:
    """Everything that takes room, the biggest first: what the engine holds, backups, and Havre's own records."""
    held = server.engine.stored() if isinstance(server.engine, Upkeep) else ()
    return tuple(sorted((*held, *_own(server)), key=lambda one: (-one.size, one.kind.value, one.name)))


def propose_prune(server: Server, wanted: Wanted) -> Pruning:
    """What may go now; nothing is touched."""
    ours = _instances(server)
    held = [instance for instance in ours if is_held(server.state.lock(instance))]
    return _pruning(server, wanted, [instance for instance in ours if instance not in held], held)


def prune(
    server: Server, proposed: Pruning, wanted: Wanted, *, tell: Callable[[str], None] = lambda _: None
) -> Pruning:
    """Remove what was proposed and may still go; returns what went. No instance can be deployed meanwhile."""
    with ExitStack() as locks:
        free = [instance for instance in _instances(server) if _lock(server, instance, locks)]
        now = _pruning(server, wanted, free, [one for one in _instances(server) if one not in free])
        shown = {removal.stored.id for removal in proposed.removals}
        left = tuple(_remove_leftovers(server, [one for one in now.leftovers if one in proposed.leftovers], tell))
        gone = tuple(_discard(server, [one for one in now.removals if one.stored.id in shown], tell))
    for instance in sorted({removal.stored.instance for removal in gone} - {""}):
        note(server, instance, "prune", "done")
    return Pruning(removals=gone, leftovers=left, held=now.held)


def tidy(server: Server, instance: str) -> tuple[Removal, ...]:
    """Remove the images of an instance that no kept release needs; the caller holds its lock.

    Called when a release has succeeded, so what cannot be removed now is left for the next time.
    """
    if not isinstance(server.engine, Upkeep):
        return ()
    try:
        return tuple(_discard(server, unneeded(server.engine.images_here(), _book(server, [instance])), lambda _: None))
    except HavreError:  # the release serves: room that is not made now is made by the next release, or by `havre prune`
        return ()


def _pruning(server: Server, wanted: Wanted, free: Sequence[str], held: Iterable[str]) -> Pruning:
    if not isinstance(server.engine, Upkeep):
        return Pruning()
    before = clock.now() - wanted.log_days * DAY
    book = _book(server, free, before=before, build_cache=wanted.build_cache)
    return Pruning(
        removals=unneeded(server.engine.stored(), book), leftovers=tuple(_leftovers(server, free)), held=tuple(held)
    )


def _instances(server: Server) -> tuple[str, ...]:
    """This server's instances on this engine, and those that were taken down with their data."""
    known = server.state.instances.list()
    elsewhere = {one.instance for one in known if one.engine != server.engine.name}
    names = {*(one.instance for one in known), *server.state.releases.instances()}
    return tuple(sorted(names - elsewhere))


def _book(server: Server, free: Collection[str], *, before: float = 0.0, build_cache: bool = False) -> Book:
    """What the records say; the releases of an instance that was taken down with its data need nothing any more.

    An image that was pulled is nobody's by its label: those that instances beside the `free` ones ever ran stay.
    """
    releases = server.state.releases
    known = {one.instance for one in server.state.instances.list()}
    pinned = {instance: _pins(releases.list(instance, limit=1000)) for instance in releases.instances()}
    others = {pin for instance, pins in pinned.items() if instance not in free for pin in pins}
    needed = frozenset(pin for instance in known for pin in _pins(releases.kept(instance)))
    return Book(
        instances=frozenset(free),
        needed=needed,
        outdated=frozenset(pin for instance in free for pin in pinned.get(instance, ())) - needed - others,
        fetched=releases.fetched(),
        before=before,
        build_cache=build_cache,
    )


def _pins(releases: Iterable[Release]) -> frozenset[str]:
    return frozenset(pin.image_id for release in releases for pin in release.images)


def _leftovers(server: Server, instances: Iterable[str]) -> Iterator[Leftover]:
    for instance in instances:
        releases = {release.number: release for release in server.state.releases.list(instance, limit=1000)}
        yield from leftovers(instance, server.engine.observe(instance), releases)


def _lock(server: Server, instance: str, locks: ExitStack) -> bool:
    try:
        locks.enter_context(exclusive(server.state.lock(instance), what=f"the instance {instance}", doing="prune"))
    except BusyError:
        return False
    return True


def _remove_leftovers(server: Server, wanted: Iterable[Leftover], tell: Callable[[str], None]) -> Iterator[Leftover]:
    for one in wanted:
        context = Context(instance=one.instance, release=one.release, project=Project(name=one.instance))
        server.engine.perform(RemoveReplica(service=one.service, slot=one.slot), context)
        tell(f"removed {one.instance}: {one}")
        yield one


def _discard(server: Server, wanted: Iterable[Removal], tell: Callable[[str], None]) -> Iterator[Removal]:
    assert isinstance(server.engine, Upkeep)
    for removal in wanted:
        if server.engine.discard(removal.stored):
            tell(f"removed {removal.stored.kind.value} {removal.stored.name}")
            yield removal


def _own(server: Server) -> Iterator[Stored]:
    """Local backups and the state directory; what the process engine keeps there it measures itself."""
    state = server.state
    places = {state.backups, *(Path(to) for to in read_settings(state.directory).backup_to if to.startswith("/"))}
    for place in sorted(places):
        if place.is_dir():
            yield Stored(kind=Kind.BACKUPS, id=str(place), names=(str(place),), size=size_of(place), in_use=True)
    for place in (state.edge, state.directory / "havre.db"):
        if place.exists():
            yield Stored(kind=Kind.STATE, id=str(place), names=(str(place),), size=size_of(place), in_use=True)
