"""Drills: the newest snapshot comes back in a throw-away replica, and a lie is found out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from data_stand import Stand, docker

from havre.errors import FailedError
from havre.model.backup import BackupPolicy
from havre.workflows.backup import back_up
from havre.workflows.drill import drill, refuse_failed

pytestmark = pytest.mark.docker


def test_database_and_redis_come_back_in_throw_away_replicas(stand: Stand) -> None:
    stand.sql("CREATE TABLE papers AS SELECT g AS id FROM generate_series(1, 700) g")
    stand.redis("MSET", "a", "1", "b", "2")
    back_up(stand.storage, stand.intent)
    policy = BackupPolicy(service="db", assertions=("SELECT count(*) = 700 FROM papers",))
    intent = replace(stand.intent, app=replace(stand.intent.app, backups=(policy,)))
    database, cache = drill(stand.storage, intent)
    assert (database.passed, database.lines) == (
        True, ("shop: 700 rows in 1 tables, as in the snapshot", "true: SELECT count(*) = 700 FROM papers"),
    )  # fmt: skip
    assert (cache.passed, cache.lines) == (True, ("2 keys, as in the snapshot",))
    assert 0 < database.rto < 120
    assert docker("ps", "-aq", "--filter", f"label=havre.instance={stand.name}-drill") == ""


def test_an_assertion_that_does_not_hold_fails_the_drill(stand: Stand) -> None:
    policy = BackupPolicy(service="db", assertions=("SELECT count(*) > 1000 FROM papers",))
    intent = replace(stand.intent, app=replace(stand.intent.app, backups=(policy,)))
    reports = drill(stand.storage, intent, ["db"])
    with pytest.raises(FailedError, match="an assertion about shop does not hold"):
        refuse_failed(reports)
    assert stand.storage.book.drills(stand.name)[0].passed is False
