"""What the ways of a drill have in common: something to restore in a throw-away replica, and questions to ask it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from havre.backups.databases import TRUE, Databases
from havre.errors import FailedError, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """One restore: `taken_at` is how new the restored data is; `restore` says what was found, line by line."""

    name: str
    shown: str
    taken_at: float
    restore: Callable[[], tuple[str, ...]]


def asserted(databases: Databases, restored: Mapping[str, str], assertions: Sequence[str]) -> tuple[str, ...]:
    """Ask every assertion: `SQL`, or `database: SQL` where there are several; raises FailedError for one not true.

    `restored` are the databases by the name that they had, with the name that they have now.
    """
    return tuple(_asserted(databases, restored, assertion) for assertion in assertions)


def _asserted(databases: Databases, restored: Mapping[str, str], assertion: str) -> str:
    first, _, rest = assertion.partition(":")
    database, sql = (first.strip(), rest.strip()) if first.strip() in restored else (next(iter(restored)), assertion)
    answer = databases.answer(restored[database], sql)
    if answer != TRUE:
        raise FailedError(_not_true(database, sql, answer))
    return f"true: {sql}"


def _not_true(database: str, sql: str, answer: str) -> Problem:
    return Problem(
        summary=f"an assertion about {database} does not hold after the restore",
        evidence=(sql, f"answered: {answer or 'nothing'}"),
        hint="look into the snapshot (`havre restore … --to NAME`), or correct `assert` in havre.yaml",
        code="drill-assertion",
    )
