"""Which instances this server has, what they claim, and who did what to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from havre.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownInstance:
    """An app in an environment on this server; `created_at` is seconds since the epoch."""

    instance: str
    app: str
    environment: str
    engine: str
    directory: str
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredClaim:
    """Something an instance owns on the server: a port, a host, a subnet, a name, memory."""

    instance: str
    kind: str
    value: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """Who did what to which instance, when (seconds since the epoch), and how it ended."""

    at: float
    by: str
    instance: str
    action: str
    outcome: str


class Instances:
    """The server-wide book; claims are replaced as a whole at each release."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remember(self, known: KnownInstance) -> None:
        """Record an instance, keeping its first `created_at`."""
        with self._database.transaction() as sql:
            sql.execute(
                "INSERT INTO instances VALUES (?,?,?,?,?,?) ON CONFLICT (instance) DO UPDATE SET"
                " app = excluded.app, environment = excluded.environment, engine = excluded.engine,"
                " directory = excluded.directory",
                (known.instance, known.app, known.environment, known.engine, known.directory, known.created_at),
            )

    def list(self) -> tuple[KnownInstance, ...]:
        """All instances, by name."""
        with self._database.transaction() as sql:
            rows = sql.execute("SELECT * FROM instances ORDER BY instance").fetchall()
        return tuple(KnownInstance(**dict(row)) for row in rows)

    def forget(self, instance: str) -> None:
        """Drop an instance and its claims; its releases stay in the book."""
        with self._database.transaction() as sql:
            sql.execute("DELETE FROM claims WHERE instance = ?", (instance,))
            sql.execute("DELETE FROM scales WHERE instance = ?", (instance,))
            sql.execute("DELETE FROM instances WHERE instance = ?", (instance,))

    def replace_claims(self, instance: str, claims: Iterable[StoredClaim]) -> None:
        """Make these the claims of `instance`, in one transaction."""
        with self._database.transaction() as sql:
            sql.execute("DELETE FROM claims WHERE instance = ?", (instance,))
            sql.executemany(
                "INSERT OR REPLACE INTO claims VALUES (?,?,?,?)",
                [(instance, claim.kind, claim.value, claim.detail) for claim in claims],
            )

    def claims(self) -> tuple[StoredClaim, ...]:
        """The claims of all instances."""
        with self._database.transaction() as sql:
            rows = sql.execute("SELECT * FROM claims ORDER BY kind, value, instance").fetchall()
        return tuple(StoredClaim(**dict(row)) for row in rows)

    def scale(self, instance: str, service: str, replicas: int | None) -> None:
        """Remember how many replicas the operator wants, over the Compose file; None goes back to the file."""
        with self._database.transaction() as sql:
            sql.execute("DELETE FROM scales WHERE instance = ? AND service = ?", (instance, service))
            if replicas is not None:
                sql.execute("INSERT INTO scales VALUES (?,?,?)", (instance, service, replicas))

    def scales(self, instance: str) -> dict[str, int]:
        """Service -> replicas, where the operator said something else than the file."""
        with self._database.transaction() as sql:
            rows = sql.execute("SELECT service, replicas FROM scales WHERE instance = ?", (instance,)).fetchall()
        return {row["service"]: row["replicas"] for row in rows}

    def write_audit(self, line: AuditLine) -> None:
        """Add a line to the audit log; lines are never changed or removed."""
        with self._database.transaction() as sql:
            sql.execute(
                "INSERT INTO audit (at, by_whom, instance, action, outcome) VALUES (?,?,?,?,?)",
                (line.at, line.by, line.instance, line.action, line.outcome),
            )

    def audit(self, *, instance: str | None = None, limit: int = 50) -> tuple[AuditLine, ...]:
        """The newest lines first, of one instance or of all."""
        with self._database.transaction() as sql:
            rows = sql.execute(
                "SELECT at, by_whom, instance, action, outcome FROM audit WHERE ? IN ('', instance)"
                " ORDER BY id DESC LIMIT ?",
                (instance or "", limit),
            ).fetchall()
        return tuple(
            AuditLine(
                at=row["at"], by=row["by_whom"], instance=row["instance"], action=row["action"], outcome=row["outcome"]
            )
            for row in rows
        )
