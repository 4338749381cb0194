"""The tables, as numbered migrations: applied in order, each in one transaction, never edited once released."""

from __future__ import annotations

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE releases (
        instance       TEXT    NOT NULL,
        number         INTEGER NOT NULL,
        state          TEXT    NOT NULL,
        kind           TEXT    NOT NULL,
        started_at     REAL    NOT NULL,
        ended_at       REAL,
        by_whom        TEXT    NOT NULL DEFAULT '',
        commit_id      TEXT,
        dirty          INTEGER NOT NULL DEFAULT 0,
        images         TEXT    NOT NULL DEFAULT '[]',
        phases         TEXT    NOT NULL DEFAULT '[]',
        result         TEXT    NOT NULL DEFAULT '',
        plan           TEXT    NOT NULL DEFAULT '',
        rolled_back_to INTEGER,
        schema_head    TEXT,
        waivers        TEXT    NOT NULL DEFAULT '[]',
        edge_before    TEXT,
        sealed         BLOB,
        PRIMARY KEY (instance, number)
    ) STRICT;
    CREATE TABLE journal (
        instance   TEXT    NOT NULL,
        release    INTEGER NOT NULL,
        number     INTEGER NOT NULL,
        kind       TEXT    NOT NULL,
        text       TEXT    NOT NULL,
        phase      INTEGER NOT NULL,
        state      TEXT    NOT NULL,
        started_at REAL,
        ended_at   REAL,
        error      TEXT    NOT NULL DEFAULT '',
        PRIMARY KEY (instance, release, number)
    ) STRICT;
    CREATE TABLE instances (
        instance    TEXT PRIMARY KEY,
        app         TEXT NOT NULL,
        environment TEXT NOT NULL,
        engine      TEXT NOT NULL,
        directory   TEXT NOT NULL,
        created_at  REAL NOT NULL
    ) STRICT;
    CREATE TABLE claims (
        instance TEXT NOT NULL,
        kind     TEXT NOT NULL,
        value    TEXT NOT NULL,
        detail   TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (instance, kind, value)
    ) STRICT;
    CREATE TABLE scales (
        instance TEXT    NOT NULL,
        service  TEXT    NOT NULL,
        replicas INTEGER NOT NULL,
        PRIMARY KEY (instance, service)
    ) STRICT;
    CREATE TABLE audit (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        at       REAL NOT NULL,
        by_whom  TEXT NOT NULL,
        instance TEXT NOT NULL,
        action   TEXT NOT NULL,
        outcome  TEXT NOT NULL
    ) STRICT;
    """,
    "ALTER TABLE releases ADD COLUMN promoted_from TEXT",
    """
    CREATE TABLE confirmations (
        instance TEXT NOT NULL,
        item     TEXT NOT NULL,
        at       REAL NOT NULL,
        by_whom  TEXT NOT NULL,
        note     TEXT NOT NULL,
        until    TEXT NOT NULL,
        PRIMARY KEY (instance, item)
    ) STRICT;
    CREATE TABLE passed_items (
        instance TEXT NOT NULL,
        item     TEXT NOT NULL,
        at       REAL NOT NULL,
        PRIMARY KEY (instance, item)
    ) STRICT;
    """,
)
