"""Remembers the keys that loading uses up (`extends`, `env_file`, `include`, …), which the normal form lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from havre.compose.tree import Map, Path, Sources, spot_along
from havre.errors import Location

_OF_THE_FILE = ("version", "include")
_OF_A_SERVICE = ("extends", "profiles", "env_file", "label_file")


def consumed_keys(root: Any, sources: Sources) -> Iterator[tuple[Path, Location]]:
    """Path and place of each such key in a document just read, and of what is in it."""
    for path in (*_entries(root, (), _OF_THE_FILE), *_of_services(root)):
        if place := sources.location(spot_along(root, path)):
            yield path, place


def _of_services(root: Any) -> Iterator[Path]:
    services = root.get("services") if isinstance(root, Map) else None
    if isinstance(services, Map):
        for name, service in services.items():
            yield from _entries(service, ("services", name), _OF_A_SERVICE)


def _entries(holder: Any, path: Path, names: tuple[str, ...]) -> Iterator[Path]:
    if isinstance(holder, Map):
        for name in names:
            if holder.get(name) is not None:
                yield from _below(holder[name], (*path, name))


def _below(value: Any, path: Path) -> Iterator[Path]:
    yield path
    items = value.items() if isinstance(value, Map) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _below(item, (*path, key))
