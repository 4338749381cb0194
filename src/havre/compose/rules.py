"""Tables of rules keyed by path patterns: `services.*.ports.*` means every item of every service's ports.

A table is compiled to a tree, so that a phase visits only the places it has a rule for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from havre.compose.tree import Path

Action = TypeVar("Action")


class Rule(Generic[Action]):
    """The rules at and below one path: `action` for the value itself, the rest for what is in it."""

    __slots__ = ("action", "every", "named")

    def __init__(self) -> None:
        self.action: Action | None = None
        self.named: dict[str, Rule[Action]] = {}
        self.every: Rule[Action] | None = None

    def below(self, key: str | int) -> Rule[Action] | None:
        """The rules for one entry."""
        return self.named.get(key, self.every) if isinstance(key, str) else self.every


def compile_rules(table: Mapping[str, Action]) -> Rule[Action]:
    """A table from pattern to action as a tree of rules."""
    root: Rule[Action] = Rule()
    for pattern, action in table.items():
        here = root
        for part in pattern.split("."):
            if part == "*":
                here.every = here.every or Rule()
                here = here.every
            else:
                here = here.named.setdefault(part, Rule())
        here.action = action
    return root


def matches(value: Any, rule: Rule[Action], path: Path = ()) -> Iterator[tuple[Any, str | int, Path, Action]]:
    """Container, key, path and action of every entry a rule is for; parents before their children.

    The entry is read again after each step, so an action may replace it before its children are visited.
    """
    for key, child in _entries(value, rule):
        here = (*path, key)
        if child.action is not None:
            yield value, key, here, child.action
        if child.named or child.every:
            inner = value.get(key) if isinstance(value, dict) else value[key]
            if isinstance(inner, dict | list):
                yield from matches(inner, child, here)


def _entries(value: Any, rule: Rule[Action]) -> Iterator[tuple[str | int, Rule[Action]]]:
    if isinstance(value, dict):
        if rule.every is None:
            yield from ((key, child) for key, child in rule.named.items() if key in value)
        else:
            for key in list(value):
                yield key, rule.named.get(key, rule.every)
    elif isinstance(value, list) and rule.every is not None:
        for index in range(len(value)):
            yield index, rule.every
