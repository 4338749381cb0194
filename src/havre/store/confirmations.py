"""What people confirmed of the production checklist, and when each item last passed."""

from __future__ import annotations

from collections.abc import Iterable

from havre.model.launch import Confirmation
from havre.store.database import Database


class Confirmations:
    """The book of one server; a new answer replaces the one before, and the audit log keeps both."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, instance: str, said: Confirmation) -> None:
        """Record an answer."""
        with self._database.transaction() as sql:
            sql.execute(
                "INSERT OR REPLACE INTO confirmations VALUES (?,?,?,?,?,?)",
                (instance, said.item, said.at, said.by, said.note, said.until),
            )

    def forget(self, instance: str, item: str) -> bool:
        """Take an answer back; False when there was none."""
        with self._database.transaction() as sql:
            done = sql.execute("DELETE FROM confirmations WHERE instance = ? AND item = ?", (instance, item))
            return done.rowcount > 0

    def list(self, instance: str) -> tuple[Confirmation, ...]:
        """All answers about an instance, ended ones too."""
        with self._database.transaction() as sql:
            rows = sql.execute(
                "SELECT item, at, by_whom, note, until FROM confirmations WHERE instance = ? ORDER BY item", (instance,)
            ).fetchall()
        return tuple(
            Confirmation(item=row["item"], at=row["at"], by=row["by_whom"], note=row["note"], until=row["until"])
            for row in rows
        )

    def remember_passed(self, instance: str, items: Iterable[str], at: float) -> None:
        """These items passed just now."""
        with self._database.transaction() as sql:
            sql.executemany(
                "INSERT OR REPLACE INTO passed_items VALUES (?,?,?)", [(instance, item, at) for item in items]
            )

    def passed(self, instance: str) -> tuple[tuple[str, float], ...]:
        """(item, when it last passed)."""
        with self._database.transaction() as sql:
            rows = sql.execute("SELECT item, at FROM passed_items WHERE instance = ?", (instance,)).fetchall()
        return tuple((row["item"], row["at"]) for row in rows)
