"""Where a database's schema stands: which migrations it has, which were begun and not ended, and its shape."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A migration that its tool began and did not end, and what that tool offers to go on."""

    what: str
    repair: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """What was found in the databases of an app.

    `heads` are (database, revision); `shape` has a line for each table, column, index, constraint, function and
    trigger, without what the migration tools keep for themselves.
    """

    heads: tuple[tuple[str, str], ...] = ()
    unfinished: tuple[Unfinished, ...] = ()
    shape: frozenset[str] = frozenset()

    @property
    def head(self) -> str | None:
        """`3f2a1c`, or `shop: 3f2a1c, users: 0004` where several databases are migrated; None without any."""
        if len(self.heads) <= 1:
            return self.heads[0][1] if self.heads else None
        return ", ".join(f"{database}: {revision}" for database, revision in self.heads)

    def differences(self, before: SchemaState) -> tuple[str, ...]:
        """What is new and what is gone since `before`, one line each; without the parts of a new table."""
        new = [f"added: {line}" for line in _outermost(self.shape - before.shape)]
        gone = [f"removed: {line}" for line in _outermost(before.shape - self.shape)]
        return (*new, *gone)


def _outermost(lines: Set[str]) -> list[str]:
    """Tables first, and only what does not belong to one of them."""
    tables = sorted(line for line in lines if line.startswith("table "))
    names = [line.removeprefix("table ") for line in tables]
    inside = re.compile(
        "|".join(f"^column {re.escape(name)}\\.| of {re.escape(name)}(?=[: ]|$)" for name in names) or "$^"
    )
    return [*tables, *sorted(line for line in lines if line not in tables and not inside.search(line))]
