"""A small schema language: what kinds of value a key takes, and what may be inside.

Alternatives in the Compose Specification always differ in kind (text, list, mapping), so one shape can hold
the constraints of all of them and every problem can be told exactly, without "matches none of".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from havre.compose.findings import Findings, closest
from havre.compose.scalars import Date
from havre.compose.tree import Path, spot_of

STRING, NUMBER, INTEGER, BOOLEAN, NULL, MAPPING, LIST = (
    "string",
    "number",
    "integer",
    "boolean",
    "null",
    "mapping",
    "list",
)


class Shape:
    """The values one place accepts.

    `keys` are the known keys of a mapping, `every` is the shape of the others (their names must match
    `key_pattern`), and without `every` other keys are errors, `x-` keys excepted where `extensible`.
    """

    def __init__(
        self,
        *,
        kinds: frozenset[str],
        keys: Mapping[str, Shape] | None = None,
        every: Shape | None = None,
        key_pattern: str | None = None,
        is_open: bool = False,
        extensible: bool = True,
        required: tuple[str, ...] = (),
        items: Shape | None = None,
        is_set: bool = False,
        choices: tuple[str, ...] = (),
        pattern: str | None = None,
        least: int | None = None,
        most: int | None = None,
    ) -> None:
        self.kinds, self.choices, self.pattern = kinds, choices, pattern
        self.least, self.most = least, most
        self.keys, self.every, self.key_pattern = keys or {}, every, key_pattern
        self.is_open, self.extensible, self.required = is_open, extensible, required
        self.items, self.is_set = items, is_set


def check(root: Any, shape: Shape, findings: Findings) -> None:
    """Record everything in a document that does not fit."""
    _Checker(findings).visit(root, shape, None, "", ())


class _Checker:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def visit(self, value: Any, shape: Shape, container: Any, key: str | int, path: Path) -> None:
        """Check a value against a shape, then what is in it."""
        kind = _kind(value)
        if kind not in shape.kinds and not (kind == INTEGER and NUMBER in shape.kinds):
            self._wrong_kind(value, shape, container, key, path)
        elif kind == MAPPING:
            self._mapping(value, shape, container, key, path)
        elif kind == LIST:
            self._list(value, shape, path)
        elif kind == STRING:
            self._string(value, shape, container, key, path)
        elif kind in (INTEGER, NUMBER):
            self._number(value, shape, container, key, path)

    def _mapping(self, value: dict[str, Any], shape: Shape, container: Any, key: str | int, path: Path) -> None:
        for name, item in value.items():
            known = shape.keys.get(name)
            if known is not None:
                self.visit(item, known, value, name, (*path, name))
            elif shape.extensible and name.startswith("x-"):
                continue
            elif shape.every is not None and (shape.key_pattern is None or re.search(shape.key_pattern, name)):
                self.visit(item, shape.every, value, name, (*path, name))
            elif not shape.is_open:
                self._unknown(name, shape, value, path)
        for name in shape.required:
            if name not in value:
                self._add(f"missing property '{name}'", f"add `{name}:`", container, key, path, "required")

    def _list(self, value: list[Any], shape: Shape, path: Path) -> None:
        if shape.items is not None:
            for index, item in enumerate(value):
                self.visit(item, shape.items, value, index, (*path, index))
        if shape.is_set and len(value) > 1:
            self._repeated(value, path)

    def _repeated(self, value: list[Any], path: Path) -> None:
        seen: set[str] = set()
        for index, item in enumerate(value):
            name = f"{_kind(item)} {item!r}"
            if name in seen:
                where = (*path, index)
                shown = _shorten(str(item).partition("=")[0])
                self._add(f"items must be unique: {shown}", "remove one of the two", value, index, where, "unique")
            seen.add(name)

    def _string(self, value: str, shape: Shape, container: Any, key: str | int, path: Path) -> None:
        if shape.choices and value not in shape.choices:
            hint = closest(value, shape.choices) or f"write {' or '.join(f'`{choice}`' for choice in shape.choices)}"
            summary = f"value must be one of {', '.join(map(repr, shape.choices))}, not {_shorten(value)!r}"
            self._add(summary, hint, container, key, path, "choice")
        elif shape.pattern is not None and not re.search(shape.pattern, value):
            summary = f"does not match pattern `{shape.pattern}`: {_shorten(value)!r}"
            self._add(summary, "correct the value", container, key, path, "pattern")

    def _number(self, value: float, shape: Shape, container: Any, key: str | int, path: Path) -> None:
        if shape.least is not None and value < shape.least:
            summary = f"must be greater than or equal to {shape.least}, not {value}"
            self._add(summary, f"use {shape.least} or more", container, key, path, "range")
        if shape.most is not None and value > shape.most:
            summary = f"must be less than or equal to {shape.most}, not {value}"
            self._add(summary, f"use {shape.most} or less", container, key, path, "range")

    def _unknown(self, name: str, shape: Shape, value: Any, path: Path) -> None:
        if shape.every is not None and shape.key_pattern is not None:
            summary = f"the name '{name}' is not allowed" if name else "a name is missing"
            hint = "use letters, digits, `.`, `_` and `-`" if name else "write it before the colon"
        else:
            summary = f"additional properties '{name}' not allowed"
            hint = closest(name, shape.keys) or "remove it, or prefix it with `x-` if it is your own"
        spot = spot_of(value, name)
        self._findings.error(summary, hint=hint, spot=spot, path=path, code="unknown-key", wrong=(*path, name))

    def _wrong_kind(self, value: Any, shape: Shape, container: Any, key: str | int, path: Path) -> None:
        accepted = _accepted(shape.kinds)
        shown = "" if isinstance(value, dict | list) else f", not {_shorten(str(value))!r}"
        summary = f"must be {accepted}{shown}" if path else "top-level object must be a mapping"
        self._add(summary, _kind_hint(value, shape), container, key, path, "type")

    def _add(self, summary: str, hint: str, container: Any, key: str | int, path: Path, code: str) -> None:
        self._findings.error(summary, hint=hint, spot=spot_of(container, key), path=path, code=code)


def _kind(value: Any) -> str:
    kind = _KINDS.get(type(value))
    if kind is not None:
        return kind
    if isinstance(value, dict):
        return MAPPING
    if isinstance(value, list):
        return LIST
    if isinstance(value, Date):
        return "date"
    return INTEGER if value.is_integer() else NUMBER


_KINDS: dict[type, str] = {str: STRING, bool: BOOLEAN, int: INTEGER, type(None): NULL}


def _accepted(kinds: frozenset[str]) -> str:
    names = [kind for kind in (MAPPING, LIST, BOOLEAN, NULL, INTEGER, NUMBER, STRING) if kind in kinds]
    text = " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return f"an {text}" if text[0] == "i" else f"a {text}"


def _kind_hint(value: Any, shape: Shape) -> str:
    if isinstance(value, Date):
        return f'YAML reads this as a date; quote it: "{value}"'
    if STRING in shape.kinds and isinstance(value, int | float | bool):
        return f'quote it: "{str(value).lower() if isinstance(value, bool) else value}"'
    if value is None:
        return "give it a value or remove the key"
    return f"write {_accepted(shape.kinds)}"


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def one(*kinds: str, **more: Any) -> Shape:
    """A shape of scalar kinds."""
    return Shape(kinds=frozenset(kinds), **more)


def mapping(keys: Mapping[str, Shape] | None = None, *kinds: str, **more: Any) -> Shape:
    """A shape of mappings (and the other `kinds`)."""
    return Shape(kinds=frozenset((MAPPING, *kinds)), keys=keys, **more)


def listing(items: Shape, *kinds: str, **more: Any) -> Shape:
    """A shape of lists (and the other `kinds`)."""
    return Shape(kinds=frozenset((LIST, *kinds)), items=items, **more)
