"""Open the state database: SQLite in WAL mode, brought up to date, with errors a person can act on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from havre.errors import Problem, UnavailableError
from havre.store.schema import MIGRATIONS

BUSY_TIMEOUT = 10.0
"""Seconds that a write waits for another process's write to end."""


class Database:
    """One connection per use: safe from any thread and any process, and nothing to close after a crash."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.transaction() as connection:
            _migrate(connection, path)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is committed when the block ends and rolled back when it raises.

        Raises UnavailableError when the file cannot be opened, read or written.
        """
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise UnavailableError(_unusable(self.path, error)) from error
        finally:
            if connection is not None:
                connection.close()


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise UnavailableError(_from_the_future(path, version))
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        for statement in script.split(";"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number}")


def _unusable(path: Path, error: sqlite3.Error) -> Problem:
    return Problem(
        summary=f"the state database {path} cannot be used",
        evidence=(str(error),),
        effect="nothing was changed; what is serving keeps serving",
        hint="check the free space and the permissions of that directory (`df -h`, `ls -l`), then try again",
        code="state-unusable",
    )


def _from_the_future(path: Path, version: int) -> Problem:
    return Problem(
        summary=f"the state database {path} was written by a newer Havre",
        evidence=(f"its schema is version {version}, this Havre knows up to {len(MIGRATIONS)}",),
        hint="upgrade Havre on this server to at least the version that wrote it",
        code="state-newer",
    )
