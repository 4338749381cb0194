"""Room on disks: what a backup or a restore needs, refused before it begins where there is not that much."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from havre.backups import place as backup
from havre.backups.book import Earlier, added_by_next
from havre.backups.place import Place
from havre.backups.repository import local_directory
from havre.engines.base import Upkeep
from havre.errors import Problem, RefusedError
from havre.model.backup import Part, Snapshot
from havre.model.units import show_bytes
from havre.model.upkeep import Kind, Stored
from havre.workflows.disk import consumers
from havre.workflows.server import Server

RESTORED = 1.5
"""A database is larger than its dump by its indexes."""
_SHOWN = 4


def size_of(kind: backup.Kind, place: Place, previous: Snapshot | None) -> int | None:
    """How much data a service holds now, in bytes: asked where its kind can tell, else as it was the last time."""
    return kind.estimate(place) or (previous.size if previous else None)


def refuse_backup_without_room(server: Server, urls: Sequence[str], size: int | None, previous: Earlier | None) -> None:
    """Raises RefusedError for the first repository on this machine whose disk cannot take the backup.

    Where one is there already, only what is new is stored: as much as the last one added, twice.
    """
    for url in urls:
        directory = local_directory(url)
        if directory is None:
            continue
        needed = added_by_next(url, size, previous)
        there = next(path for path in (directory, *directory.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if needed > free:
            raise RefusedError(_no_room("back up", str(there), needed, free, biggest(server, there)))


def refuse_restore_without_room(
    place: Place, directory: str, needed: int, *, freed: int = 0, takers: Callable[[], tuple[str, ...]] = tuple
) -> None:
    """Raises RefusedError when the disk that holds `directory` in a replica cannot take `needed` bytes more.

    `freed` is what goes before; `takers` says what takes most of it. Where the replica cannot tell its free room,
    nothing is refused.
    """
    free = free_in(place, directory)
    if free is not None and needed > free + freed:
        raise RefusedError(_no_room(f"restore into {place.name}", directory, needed, free + freed, takers()))


def needed_for(parts: Iterable[Part]) -> int:
    """The room that restored databases take beside the live ones."""
    return int(sum(part.size for part in parts) * RESTORED)


def free_in(place: Place, directory: str) -> int | None:
    """The free bytes of the disk that holds a directory of a replica."""
    answer = place.ask(("df", "-Pk", directory))
    found = re.findall(r"\s(\d+)\s+\d+%", answer.output)
    return int(found[-1]) * 1024 if answer.exit_code == 0 and found else None


def biggest(server: Server, path: Path) -> tuple[str, ...]:
    """What takes most of the disk that `path` is on, as far as Havre and its engine know."""
    device = path.stat().st_dev
    root = server.engine.root() if isinstance(server.engine, Upkeep) else None
    found = [one for one in consumers(server) if one.size and _device(one, root) == device]
    return tuple(f"{show_bytes(one.size)} in the {one.kind.value} {one.name}" for one in found[:_SHOWN])


def _device(one: Stored, root: Path | None) -> int | None:
    """The disk that it lies on; `root` is where the engine keeps what is its own."""
    place = Path(one.id) if one.kind in (Kind.BACKUPS, Kind.STATE) else root
    return place.stat().st_dev if place and place.exists() else None


def _no_room(doing: str, where: str, needed: int, free: int, consumers: tuple[str, ...]) -> Problem:
    kept = any("__before_" in line or "earlier restore kept" in line for line in consumers)
    hint = "free room there (`havre prune` shows what no release needs), then try again"
    return Problem(
        summary=f"there is not enough room to {doing}: {show_bytes(needed)} needed, {show_bytes(free)} free at {where}",
        evidence=consumers,
        effect="nothing was begun, and nothing older was touched",
        hint="`havre restore SERVICE --drop-kept` removes what earlier restores kept" if kept else hint,
        code="no-room",
    )
