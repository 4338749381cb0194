"""Finds which keys of the specification a project uses, and which of them its files really say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from havre.compose.keys import KEYS
from havre.compose.normal_form import NormalForm, values_below
from havre.compose.tree import Path, dotted
from havre.errors import Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A key at one path of the project; `is_written` is False for what loading filled in."""

    key: str
    path: str
    place: Location
    is_written: bool


class KeyWalk:
    """All (Used, value) pairs of a project, in its own order."""

    def __init__(self, loaded: NormalForm) -> None:
        self._loaded = loaded
        self._places: dict[Path, Location] = {}

    def __iter__(self) -> Iterator[tuple[Used, Any]]:
        for path, value in values_below(self._loaded.model):
            key = key_of(path)
            if key is not None:
                yield self._used(key, path), value

        for path, place in self._loaded.consumed:
            key = key_of(path)
            if key is not None:
                yield Used(key=key, path=dotted(path), place=place, is_written=True), None

    def _used(self, key: str, path: Path) -> Used:
        place = self._place(path)
        return Used(key=key, path=dotted(path), place=place, is_written=place != self._place(path[:-1]))

    def _place(self, path: Path) -> Location:
        if path not in self._places:
            self._places[path] = self._loaded.origin(dotted(path)).location
        return self._places[path]


def key_of(path: Path) -> str | None:
    """`services.*.ports.[].target` for `services.web.ports[0].target`; None for names, and for items of free form."""
    here = _TREE
    for step in path:
        below = here.below.get(step if isinstance(step, str) else "[]") or here.below.get("*")
        if below is None or (isinstance(step, int) and "[]" not in here.below):
            return None
        here = below
    return here.key


@dataclass(slots=True)
class _Node:
    """One part of a key path and what may follow it."""

    key: str | None = None
    below: dict[str, _Node] = field(default_factory=dict)


def _tree() -> _Node:
    root = _Node()
    for key in KEYS:
        here = root
        for part in key.split("."):
            here = here.below.setdefault(part, _Node())
        here.key = key
    return root


_TREE = _tree()
