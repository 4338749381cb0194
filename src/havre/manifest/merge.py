"""Lays an environment over the manifest: mappings are merged, lists and values replace, an empty value removes."""

from __future__ import annotations

from typing import Any

from havre.compose.tree import Map, clone, put, spot_of


def overlay(base: Map, over: Map) -> Map:
    """A new tree; neither argument is changed."""
    result: Map = clone(base)
    for key, value in over.items():
        _lay(result, key, value, spot_of(over, key))
    return result


def _lay(target: Map, key: str, value: Any, spot: int) -> None:
    there = target.get(key)
    if value is None:
        target.pop(key, None)
    elif isinstance(there, Map) and isinstance(value, Map):
        put(target, key, overlay(there, value), spot)
    else:
        put(target, key, clone(value), spot)
