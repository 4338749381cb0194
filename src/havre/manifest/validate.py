"""Reads a located tree by the table of keys: every problem is recorded at its place, none of them ends the reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.compose.findings import Findings, closest
from havre.compose.tree import Path, spot_of
from havre.manifest.shapes import Items, Named, Record, Scalar, Shape, kind_of

COMPOSE_KEYS = frozenset({"services", "networks", "volumes", "configs", "version", "include", "name"})


class Reading:
    """One reading of a tree; `partial` accepts mappings that lack required keys, as an environment may."""

    def __init__(self, findings: Findings, *, partial: bool = False) -> None:
        self._findings = findings
        self._partial = partial

    def value(self, shape: Shape, value: Any, path: Path, spot: int) -> Any:
        """The value as the model wants it; None where a problem was recorded."""
        if not value and (effect := _when_empty(shape)):
            self._empty(effect, path, spot)
            return None
        match shape:
            case Scalar():
                return self._scalar(shape, value, path, spot)
            case Items():
                return self._items(shape, value, path, spot)
            case Named():
                return self._named(shape, value, path, spot)
            case Record():
                return self._record(shape, value, path, spot)

    def _scalar(self, shape: Scalar, value: Any, path: Path, spot: int) -> Any:
        try:
            return shape.read(value)
        except ValueError as error:
            hint = f"write for example {shape.example}" if shape.example else f"write {shape.name}"
            self._findings.error(str(error), hint=hint, spot=spot, path=path, code="manifest-value")
            return None

    def _items(self, shape: Items, value: Any, path: Path, spot: int) -> tuple[Any, ...]:
        if isinstance(value, list):
            inside = Reading(self._findings)
            read = (
                inside.value(shape.of, item, (*path, index), spot_of(value, index) or spot)
                for index, item in enumerate(value)
            )
            return tuple(item for item in read if item is not None)
        if shape.one_ok and not isinstance(value, dict):
            item = self.value(shape.of, value, path, spot)
            return () if item is None else (item,)
        self._wrong_kind("a list", value, path, spot, "begin each item with `- `")
        return ()

    def _named(self, shape: Named, value: Any, path: Path, spot: int) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._wrong_kind(f"a mapping from {shape.names} to value", value, path, spot, "write `name: value` lines")
            return {}
        result: dict[str, Any] = {}
        for name, item in value.items():
            if item in (None, "") and shape.empty_ok:
                result[name] = None
            else:
                read = self.value(shape.of, item, (*path, name), spot_of(value, name) or spot)
                result.update({} if read is None else {name: read})
        return result

    def _record(self, shape: Record, value: Any, path: Path, spot: int) -> dict[str, Any] | None:
        if shape.short and value is not None and not isinstance(value, dict | list):
            key = shape.keys[shape.short]
            return {shape.short: self.value(key.shape, value, path, spot)}
        if not isinstance(value, dict):
            self._wrong_kind("a mapping", value, path, spot, f"its keys are {', '.join(shape.keys)}")
            return None
        self._unknown_keys(shape, value, path)
        self._missing_keys(shape, value, path, spot)
        known = {
            name: item
            for name, item in value.items()
            if name in shape.keys and (item is not None or self._is_refused_empty(shape.keys[name].shape))
        }
        return {
            name: self.value(shape.keys[name].shape, item, (*path, name), spot_of(value, name) or spot)
            for name, item in known.items()
        }

    def _unknown_keys(self, shape: Record, value: Mapping[str, Any], path: Path) -> None:
        for name in value:
            if name in shape.keys or name.startswith("x-"):
                continue
            hint = _nearest(name, shape) or f"the keys of a {shape.title} are {', '.join(shape.keys)}"
            if not path and closest(name, COMPOSE_KEYS):
                hint = "that belongs in the Compose file; `compose` names it"
            summary = f"unknown key `{name}`"
            self._findings.error(summary, hint=hint, spot=spot_of(value, name), path=path, code="manifest-key")

    def _missing_keys(self, shape: Record, value: Mapping[str, Any], path: Path, spot: int) -> None:
        there = {name for name, item in value.items() if item is not None}
        if self._partial:
            return
        for name, key in shape.keys.items():
            if key.required and name not in there:
                example = f", for example `{name}: {key.example}`" if key.example else ""
                summary, hint = f"`{name}` is missing", f"add `{name}`{example}"
                self._findings.error(summary, hint=hint, spot=spot, path=path, code="manifest-missing")
        chosen = [name for name in shape.one_of if name in there]
        if shape.one_of and len(chosen) != 1:
            given = " and ".join(f"`{name}`" for name in chosen) or "none"
            summary = f"a {shape.title} has exactly one of {', '.join(shape.one_of)}; here: {given}"
            hint = f"keep one of them: {', '.join(shape.one_of)}"
            self._findings.error(summary, hint=hint, spot=spot, path=path, code="manifest-missing")

    def _is_refused_empty(self, shape: Shape) -> bool:
        """In an environment a key without a value takes away what the manifest says; elsewhere it is an empty one."""
        return not self._partial and bool(_when_empty(shape))

    def _empty(self, effect: str, path: Path, spot: int) -> None:
        summary, hint = f"is empty, which would {effect}", "fill it, or remove it where that is meant"
        self._findings.error(summary, hint=hint, spot=spot, path=path, code="manifest-value")

    def _wrong_kind(self, wanted: str, value: Any, path: Path, spot: int, hint: str) -> None:
        summary = f"must be {wanted}, not {kind_of(value)}"
        self._findings.error(summary, hint=hint, spot=spot, path=path, code="manifest-value")


def _when_empty(shape: Shape) -> str:
    return shape.when_empty if isinstance(shape, Items | Named) else ""


def _nearest(name: str, shape: Record) -> str:
    """The hint for a misspelt key; a word that is part of few keys is taken for them."""
    within = [f"`{key}`" for key in shape.keys if name in key or key in name]
    return f"did you mean {' or '.join(within)}?" if 0 < len(within) < 4 else closest(name, shape.keys)
