"""What lowering, the report and `explain` ask of a loaded project: its normal form and where each value came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from havre.compose.tree import Origin, Path
from havre.errors import Location


class NormalForm(Protocol):
    """A Compose project in the form `docker compose config` prints; `load_project` returns one."""

    @property
    def name(self) -> str:
        """The project's name."""
        ...

    @property
    def model(self) -> Mapping[str, Any]:
        """The project itself, long forms throughout."""
        ...

    @property
    def consumed(self) -> Sequence[tuple[Path, Location]]:
        """Keys that loading used up, with their places."""
        ...

    @property
    def config_contents(self) -> Mapping[str, str]:
        """The content of configs that take it from a variable, which the printed form does not show."""
        ...

    def origin(self, path: str) -> Origin:
        """Where the value at `services.web.ports[0]` came from, or its nearest known ancestor."""
        ...


def section(loaded: NormalForm, name: str) -> Mapping[str, Mapping[str, Any]]:
    """A top-level mapping (`services`, `networks`, …) with absent entries as empty ones."""
    return {key: spec or {} for key, spec in (loaded.model.get(name) or {}).items()}


def values_below(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value with its path, parents before what is in them."""
    entries: Iterator[tuple[str | int, Any]]
    if isinstance(value, Mapping):
        entries = ((key, item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        entries = iter(enumerate(value))
    else:
        return
    for key, item in entries:
        yield (*path, key), item
        yield from values_below(item, (*path, key))
