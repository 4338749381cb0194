"""The book of releases: numbered, never reused, with everything needed to come back to one."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from havre.model.release import JournalEntry, PinnedImage, Release, ReleaseState, StepState
from havre.model.route import AppEdge
from havre.store.database import Database


class Releases:
    """Releases and their journals, of all instances on this server."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, release: Release, *, sealed: bytes, edge_before: AppEdge | None) -> Release:
        """Record the start of a release under the next free number, and return it with that number."""
        with self._database.transaction() as sql:
            (last,) = sql.execute(
                "SELECT coalesce(max(number), 0) FROM releases WHERE instance = ?", (release.instance,)
            ).fetchone()
            numbered = replace(release, number=last + 1)
            sql.execute(
                "INSERT INTO releases (instance, number, state, kind, started_at, by_whom, commit_id, dirty, plan,"
                " rolled_back_to, promoted_from, waivers, edge_before, sealed) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    numbered.instance, numbered.number, numbered.state.value, numbered.kind, numbered.started_at,
                    numbered.by, numbered.commit, int(numbered.dirty), numbered.plan, numbered.rolled_back_to,
                    numbered.promoted_from, _json(numbered.waivers), _edge_json(edge_before), sealed,
                ),
            )  # fmt: skip
        return numbered

    def close(self, release: Release) -> None:
        """Record how a release ended; when it serves, the one that served before is superseded."""
        with self._database.transaction() as sql:
            if release.state is ReleaseState.SERVING:
                sql.execute(
                    "UPDATE releases SET state = ? WHERE instance = ? AND state = ? AND number <> ?",
                    (ReleaseState.SUPERSEDED.value, release.instance, ReleaseState.SERVING.value, release.number),
                )
            sql.execute(
                "UPDATE releases SET state = ?, ended_at = ?, images = ?, phases = ?, result = ?, schema_head = ?"
                " WHERE instance = ? AND number = ?",
                (
                    release.state.value, release.ended_at, _json(release.images), _json(release.phases),
                    release.result, release.schema_head, release.instance, release.number,
                ),
            )  # fmt: skip

    def retire(self, instance: str) -> None:
        """Nothing serves any more: the app was taken down. Its releases can still be returned to."""
        with self._database.transaction() as sql:
            sql.execute(
                "UPDATE releases SET state = ? WHERE instance = ? AND state = ?",
                (ReleaseState.SUPERSEDED.value, instance, ReleaseState.SERVING.value),
            )

    def list(self, instance: str, *, limit: int = 50) -> tuple[Release, ...]:
        """The newest releases first."""
        return self._select("instance = ? ORDER BY number DESC LIMIT ?", (instance, limit))

    def get(self, instance: str, number: int) -> Release | None:
        """The release with that number, or None."""
        return next(iter(self._select("instance = ? AND number = ?", (instance, number))), None)

    def instances(self) -> tuple[str, ...]:
        """Every instance that ever had a release here, those that were taken down included."""
        with self._database.transaction() as sql:
            rows = sql.execute("SELECT DISTINCT instance FROM releases ORDER BY instance").fetchall()
        return tuple(row["instance"] for row in rows)

    def kept(self, instance: str) -> tuple[Release, ...]:
        """Those whose configuration is kept, so that one can come back to them."""
        return self._select("instance = ? AND sealed IS NOT NULL ORDER BY number DESC", (instance,))

    def fetched(self) -> frozenset[str]:
        """The references of all images that releases have pulled."""
        with self._database.transaction() as sql:
            rows = sql.execute(
                "SELECT DISTINCT text FROM journal WHERE kind = 'PullImage' AND state = 'done'"
            ).fetchall()
        return frozenset(row["text"].removeprefix("pull ") for row in rows)

    def serving(self, instance: str) -> Release | None:
        """The release that serves now, or None before the first one."""
        where = "instance = ? AND state = ? ORDER BY number DESC LIMIT 1"
        return next(iter(self._select(where, (instance, ReleaseState.SERVING.value))), None)

    def unfinished(self, instance: str) -> Release | None:
        """The release that was under way when its process died, or None (the caller holds the lock)."""
        where = "instance = ? AND state = ? ORDER BY number DESC LIMIT 1"
        return next(iter(self._select(where, (instance, ReleaseState.RUNNING.value))), None)

    def sealed(self, instance: str, number: int) -> bytes | None:
        """The sealed configuration of a release."""
        return self._column("sealed", instance, number)  # type: ignore[return-value]

    def edge_before(self, instance: str, number: int) -> AppEdge | None:
        """What the edge served when the release began."""
        text = self._column("edge_before", instance, number)
        return None if text is None else msgspec.json.decode(str(text), type=AppEdge)

    def write_journal(self, instance: str, entries: Sequence[JournalEntry]) -> None:
        """Record steps, replacing what was known of them; durable when this returns."""
        with self._database.transaction() as sql:
            sql.executemany(
                "INSERT OR REPLACE INTO journal VALUES (?,?,?,?,?,?,?,?,?,?)",
                [
                    (instance, e.release, e.number, e.kind, e.text, e.phase, e.state.value, e.started_at, e.ended_at,
                     e.error)
                    for e in entries
                ],
            )  # fmt: skip

    def journal(self, instance: str, release: int) -> tuple[JournalEntry, ...]:
        """The steps of a release in order."""
        with self._database.transaction() as sql:
            rows = sql.execute(
                "SELECT * FROM journal WHERE instance = ? AND release = ? ORDER BY number", (instance, release)
            ).fetchall()
        return tuple(_entry(row) for row in rows)

    def forget_sealed(self, instance: str, keep: Sequence[int]) -> None:
        """Drop the configuration of releases that can no longer be returned to."""
        marks = ",".join("?" * len(keep)) or "NULL"
        with self._database.transaction() as sql:
            sql.execute(
                f"UPDATE releases SET sealed = NULL WHERE instance = ? AND number NOT IN ({marks})",  # noqa: S608
                (instance, *keep),
            )

    def _select(self, where: str, arguments: tuple[object, ...]) -> tuple[Release, ...]:
        with self._database.transaction() as sql:
            rows = sql.execute(f"SELECT * FROM releases WHERE {where}", arguments).fetchall()  # noqa: S608
        return tuple(_release(row) for row in rows)

    def _column(self, column: str, instance: str, number: int) -> object:
        with self._database.transaction() as sql:
            row = sql.execute(
                f"SELECT {column} FROM releases WHERE instance = ? AND number = ?",  # noqa: S608
                (instance, number),
            ).fetchone()
        return None if row is None else row[0]


def _json(value: Mapping[str, object] | Sequence[object]) -> str:
    return msgspec.json.encode(value).decode()


def _edge_json(edge: AppEdge | None) -> str | None:
    return None if edge is None else msgspec.json.encode(edge).decode()


def _release(row: sqlite3.Row) -> Release:
    return Release(
        instance=row["instance"],
        number=row["number"],
        state=ReleaseState(row["state"]),
        kind=row["kind"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        by=row["by_whom"],
        commit=row["commit_id"],
        dirty=bool(row["dirty"]),
        images=msgspec.json.decode(row["images"], type=tuple[PinnedImage, ...]),
        phases=msgspec.json.decode(row["phases"], type=tuple[tuple[str, float], ...]),
        result=row["result"],
        plan=row["plan"],
        rolled_back_to=row["rolled_back_to"],
        promoted_from=row["promoted_from"],
        schema_head=row["schema_head"],
        waivers=msgspec.json.decode(row["waivers"], type=tuple[str, ...]),
    )


def _entry(row: sqlite3.Row) -> JournalEntry:
    return JournalEntry(
        release=row["release"],
        number=row["number"],
        kind=row["kind"],
        text=row["text"],
        phase=row["phase"],
        state=StepState(row["state"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        error=row["error"],
    )
