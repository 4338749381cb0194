"""The same on the process engine: PostgreSQL and Redis as plain processes of this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from data_stand import Stand

from havre.model.backup import BackupPolicy, PitrPolicy
from havre.workflows.backup import back_up
from havre.workflows.drill import drill, refuse_failed
from havre.workflows.receiver import end_receivers
from havre.workflows.recovery import recover_to
from havre.workflows.restore import restore
from havre.workflows.wal import keep_wal

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """PostgreSQL and Redis without containers."""
    directory = tmp_path_factory.mktemp("local")
    for path in (directory, *directory.parents):
        if path != Path("/"):
            path.chmod(path.stat().st_mode | 0o011)  # the servers run as users of their own
    made = Stand(directory, on="process")
    try:
        made.deploy()
        yield made
    finally:
        made.tear_down()


def test_a_database_is_backed_up_restored_and_drilled(local: Stand) -> None:
    local.sql("CREATE TABLE orders AS SELECT g AS id FROM generate_series(1, 2500) g")
    [snapshot] = back_up(local.storage, local.intent, ["db"])
    assert snapshot.parts[0].counts == (("public.orders", 2500),)
    local.sql("DELETE FROM orders WHERE id > 3")
    restore(local.storage, local.intent, "db", snapshot.id)
    assert local.sql("SELECT count(*) FROM orders") == "2500"
    refuse_failed(drill(local.storage, local.intent, ["db"]))


def test_redis_and_its_volume_come_back(local: Stand) -> None:
    local.redis("MSET", "a", "1", "b", "2")
    [snapshot] = back_up(local.storage, local.intent, ["cache"])
    local.redis("FLUSHALL")
    restore(local.storage, local.intent, "cache", snapshot.id)
    assert local.redis("GET", "b") == "2"
    as_volume = replace(local.intent.app, backups=(BackupPolicy(service="cache", kind="volume"),))
    intent = replace(local.intent, app=as_volume)
    [files] = back_up(local.storage, intent, ["cache"])
    local.redis("FLUSHALL")
    restore(local.storage, intent, "cache", files.id)
    assert local.redis("DBSIZE") == "2"


def test_a_moment_of_the_database_is_restored(local: Stand) -> None:
    policy = BackupPolicy(service="db", pitr=PitrPolicy())
    intent = replace(local.intent, app=replace(local.intent.app, backups=(policy,)))
    try:
        local.sql("CREATE TABLE letters AS SELECT g AS id FROM generate_series(1, 40) g")
        keep_wal(local.storage, intent)
        local.sql("INSERT INTO letters SELECT g FROM generate_series(41, 60) g")
        time.sleep(1.1)
        moment = time.time()
        time.sleep(1.1)
        local.sql("DROP TABLE letters")
        recover_to(local.storage, intent, "db", moment)
        assert local.sql("SELECT count(*) FROM letters") == "60"
        assert local.sql("SELECT count(*) FROM pg_replication_slots WHERE active") == "1"
    finally:
        end_receivers(local.server, local.name)
