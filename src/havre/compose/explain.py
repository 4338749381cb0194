"""Answers `havre config --explain KEY`: which file and line a value came from, and which variables made it.

Secrets are masked: a value is shown only as far as neither its name nor its variables say that it is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from havre.compose.normal_form import NormalForm, values_below
from havre.compose.tree import Path, VariableUse, dotted
from havre.errors import InputError, Location, Problem
from havre.model.secrets_mask import is_secret_name, mask, mask_setting, mask_words


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One value of the normal form and its origin; `shown` is masked, `variables` are its VariableUses."""

    path: str
    shown: str
    place: Location
    is_written: bool = True
    variables: tuple[VariableUse, ...] = ()

    def __str__(self) -> str:
        how = "written at" if self.is_written else "filled in by Compose for"
        lines = [f"{self.path} = {self.shown}", f"  {how} {self.place}"]
        lines += [f"  {_show_variable(use)}" for use in self.variables]
        return "\n".join(lines)


def explain(loaded: NormalForm, key: str) -> tuple[Explanation, ...]:
    """Where the value at `key` (`services.web.environment.DATABASE_URL`) came from, or all values below it.

    InputError when the project has no such key, with the nearest ones it has.
    """
    below = [(path, value) for path, value in _leaves(loaded) if _is_at_or_below(dotted(path), key)]
    if not below:
        raise InputError(_unknown(key, (dotted(path) for path, _ in values_below(loaded.model))))
    return tuple(_explanation(loaded, path, value) for path, value in below)


def masked_model(loaded: NormalForm) -> dict[str, Any]:
    """The normal form with every secret hidden, by its name, its look, its flag or the variable it came from."""
    return {key: _masked(loaded, (key,), value) for key, value in loaded.model.items()}


def _masked(loaded: NormalForm, path: Path, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _masked(loaded, (*path, key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        words = [_masked(loaded, (*path, index), item) for index, item in enumerate(value)]
        return mask_words(words) if all(isinstance(word, str) for word in words) else words
    if not isinstance(value, str):
        return value
    name = path[-1] if isinstance(path[-1], str) else ""
    return _without_secrets(name, value, loaded.origin(dotted(path)).variables)


def _leaves(loaded: NormalForm) -> Iterable[tuple[Path, Any]]:
    return ((path, value) for path, value in values_below(loaded.model) if not value or not _is_container(value))


def _is_container(value: Any) -> bool:
    return isinstance(value, dict | list | tuple)


def _is_at_or_below(path: str, key: str) -> bool:
    return path == key or path.startswith((f"{key}.", f"{key}["))


def _explanation(loaded: NormalForm, path: Path, value: Any) -> Explanation:
    origin = loaded.origin(dotted(path))
    return Explanation(
        path=dotted(path),
        shown=_show_value(path, value, origin.variables),
        place=origin.location,
        is_written=origin.location != loaded.origin(dotted(path[:-1])).location,
        variables=origin.variables,
    )


def _show_value(path: Path, value: Any, variables: tuple[VariableUse, ...]) -> str:
    if value is None or _is_container(value):
        return "(empty)"
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    name = next((step for step in reversed(path) if isinstance(step, str)), "")
    return _without_secrets(name, value, variables) or '""'


def _without_secrets(name: str, value: str, variables: tuple[VariableUse, ...]) -> str:
    """A value whose variable is called a secret is one too, unless what is secret in it was found already."""
    shown = mask_setting(name, value)
    return mask(value) if shown == value and any(is_secret_name(use.name) for use in variables) else shown


def _show_variable(use: VariableUse) -> str:
    match use.source:
        case "unset":
            return f"{use.name} is set nowhere and counts as empty"
        case "default":
            return f"{use.name} is set nowhere; its default at {use.at} is used" if use.at else f"{use.name}: default"
        case _:
            return f"{use.name} comes from the {use.source}" + (f", {use.at}" if use.at else "")


def _unknown(key: str, known: Iterable[str]) -> Problem:
    close = get_close_matches(key, known, n=3)
    hint = f"did you mean {', '.join(f'`{word}`' for word in close)}?" if close else "`havre config` prints all of them"
    return Problem(summary=f"the project has no `{key}`", hint=hint, code="compose.no-such-key")
