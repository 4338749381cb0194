"""Reads the normal form's scalars: Go durations, mappings, file modes, canonical JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from havre.compose.units import parse_duration


def seconds(duration: str) -> float:
    """`1m30s` as 90.0."""
    return parse_duration(duration) / 1e9


def mode(value: str | int) -> int:
    """File permissions: text is octal (`"0440"`), a number is what it is."""
    return int(value, 8) if isinstance(value, str) else value


def text(value: object) -> str:
    """A scalar as a container sees it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def texts(values: Sequence[object]) -> tuple[str, ...]:
    """A list of scalars."""
    return tuple(text(value) for value in values)


def pairs(values: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """A mapping in its own order, empty text where no value is given."""
    return tuple((key, text(value)) for key, value in values.items())


def open_pairs(values: Mapping[str, object]) -> tuple[tuple[str, str | None], ...]:
    """A mapping in which null means: take it from where the container runs."""
    return tuple((key, None if value is None else text(value)) for key, value in values.items())


def host_entries(values: Sequence[str]) -> tuple[str, ...]:
    """`name=address` as engines take it: `name:address`."""
    return tuple(value.replace("=", ":", 1) if "=" in value else value for value in values)


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
