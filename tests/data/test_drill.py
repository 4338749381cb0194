"""Drills: the newest snapshot comes back in a throw-away replica, and a lie is found out."""

from __future__ import annotations

import time
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


def test_keys_whose_time_is_up_since_the_backup_fail_no_drill(stand: Stand) -> None:
    stand.redis("FLUSHALL")
    stand.redis("MSET", "a", "1", "b", "2")
    stand.redis("SET", "session", "3", "PX", "4000")
    [snapshot] = back_up(stand.storage, stand.intent, ["cache"])
    assert snapshot.parts[0].total == 3
    time.sleep(4)
    [cache] = drill(stand.storage, stand.intent, ["cache"])
    assert cache.passed, cache.lines
    assert cache.lines[0].startswith("3 keys")


def test_an_assertion_that_does_not_hold_fails_the_drill(stand: Stand) -> None:
    policy = BackupPolicy(service="db", assertions=("SELECT count(*) > 1000 FROM papers",))
    intent = replace(stand.intent, app=replace(stand.intent.app, backups=(policy,)))
    reports = drill(stand.storage, intent, ["db"])
    with pytest.raises(FailedError, match="an assertion about shop does not hold"):
        refuse_failed(reports)
    assert stand.storage.book.drills(stand.name)[0].passed is False


def test_a_throw_away_replica_that_fails_is_told_in_its_own_words_and_by_the_name_of_its_service(stand: Stand) -> None:
    policy = BackupPolicy(service="db", assertions=("SELECT nonsense",))
    intent = replace(stand.intent, app=replace(stand.intent.app, backups=(policy,)))
    [asked] = drill(stand.storage, intent, ["db"])
    text = "\n".join(asked.lines)
    assert "`psql` of 'shop__drill' in a throw-away replica of db failed: exit code 1" in text
    assert 'ERROR:  column "nonsense" does not exist' in text, "what psql wrote"
    assert "STATEMENT:  SELECT nonsense" in text, "what the replica itself wrote, which nobody can read later"
    assert "havre logs" not in text

    services = tuple(
        replace(one, command=("postgres", "-c", "nonsense=1")) if one.name == "db" else one
        for one in intent.project.services
    )
    [ended] = drill(stand.storage, replace(intent, project=replace(intent.project, services=services)), ["db"])
    text = "\n".join(ended.lines)
    assert "a throw-away replica of db ended by itself with exit code 1" in text
    assert 'unrecognized configuration parameter "nonsense"' in text
    assert "hint: its own words are above" in text
