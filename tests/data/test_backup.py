"""Backups of real servers: what is stored is what the server held, and it says so."""

from __future__ import annotations

import pytest
from data_stand import Stand

from havre.backups.book import read_records
from havre.model.backup import Verdict
from havre.workflows.backup import back_up

pytestmark = pytest.mark.docker


def test_every_database_and_key_is_stored_and_counted(stand: Stand) -> None:
    stand.sql(
        "CREATE TABLE IF NOT EXISTS orders AS SELECT g AS id, 'order ' || g AS name FROM generate_series(1, 5000) g"
    )
    stand.redis("SET", "basket:1", "apples")
    database, cache = back_up(stand.storage, stand.intent)
    assert (database.verdict, database.kind, database.parts[0].counts) == (
        Verdict.GOOD, "postgres", (("public.orders", 5000),),
    )  # fmt: skip
    assert "CREATE ROLE shop" in database.globals_sql
    assert (cache.verdict, cache.kind, cache.parts[0].counts) == (Verdict.GOOD, "redis", (("keys", 1),))


def test_the_repository_alone_knows_every_snapshot(stand: Stand) -> None:
    taken = back_up(stand.storage, stand.intent, ["db"])
    stored = read_records(stand.storage.repository(stand.storage.default_url), stand.name)
    assert stored[0] == taken[0]
