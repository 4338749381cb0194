"""Restores onto live servers: beside what is live, verified, then swapped; what was live is kept."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from data_stand import Stand, docker

from havre.backups.redis import Server
from havre.errors import FailedError, HavreError, InputError
from havre.model.backup import BackupPolicy
from havre.model.route import AppEdge, Route
from havre.workflows.backup import back_up
from havre.workflows.places import place_of
from havre.workflows.restore import drop_kept, restore

pytestmark = pytest.mark.docker


def orders(stand: Stand, count: int) -> None:
    stand.sql("DROP TABLE IF EXISTS orders")
    stand.sql(f"CREATE TABLE orders AS SELECT g AS id, 'order ' || g AS name FROM generate_series(1, {count}) g")


def test_a_busy_database_is_replaced_as_a_whole_and_kept(stand: Stand) -> None:
    orders(stand, 3000)
    stand.sql("ALTER DATABASE shop SET statement_timeout TO '77s'")
    [snapshot] = back_up(stand.storage, stand.intent, ["db"])
    route = Route(host="shop.test", service="web", port=80)
    stand.traffic.edge = AppEdge(instance=stand.name, routes=(route,))
    stand.traffic.events.clear()
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with contextlib.suppress(HavreError):  # connections are ended at the swap
                stand.sql("INSERT INTO orders VALUES (0, 'written meanwhile')")

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        done = restore(stand.storage, stand.intent, "db", snapshot.id)
    finally:
        stand.traffic.edge = None
        stop.set()
        for writer in writers:
            writer.join()
    assert done.verified == ("shop: 3000 rows in 1 tables",)
    assert stand.traffic.events == ["hold web:80", "lead again"]
    assert int(stand.sql("SELECT count(*) FROM orders WHERE id > 0")) == 3000
    [kept] = done.kept
    stand.sql("CREATE DATABASE shop__new_20260101_000000", "postgres")  # as a killed restore leaves it
    assert int(stand.sql("SELECT count(*) FROM orders", kept)) > 3000
    assert stand.sql("SHOW statement_timeout") == "77s"
    assert set(drop_kept(stand.storage, stand.intent, "db")) == {kept, "shop__new_20260101_000000"}


def test_an_sql_error_leaves_the_live_database_alone(stand: Stand) -> None:
    orders(stand, 3000)
    stand.sql("CREATE ROLE clerk; GRANT SELECT ON orders TO clerk")
    [snapshot] = back_up(stand.storage, stand.intent, ["db"])
    stand.sql("REVOKE ALL ON orders FROM clerk; DROP ROLE clerk")
    restore(stand.storage, stand.intent, "db", snapshot.id, to="with_roles")
    assert stand.sql("SELECT has_table_privilege('clerk', 'orders', 'select')", "with_roles") == "t"
    stand.sql("DROP DATABASE with_roles", "postgres")
    stand.sql("CREATE FUNCTION bad() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'")
    stand.sql("CREATE TABLE checked (n int CHECK (n < bad() + 10)); INSERT INTO checked VALUES (5)")
    stand.sql("CREATE OR REPLACE FUNCTION bad() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT -9'")
    [snapshot] = back_up(stand.storage, stand.intent, ["db"])
    stand.sql("INSERT INTO orders VALUES (3001, 'after the snapshot')")
    with pytest.raises(FailedError, match=r"pg_restore into shop__new_.* failed"):
        restore(stand.storage, stand.intent, "db", snapshot.id)
    assert stand.sql("SELECT max(id) FROM orders") == "3001"
    assert "__new_" not in stand.sql("SELECT string_agg(datname, ' ') FROM pg_database")
    stand.sql("DROP TABLE checked; DROP FUNCTION bad()")


def test_redis_with_an_append_only_file_gets_its_keys_back(stand: Stand) -> None:
    stand.redis("FLUSHALL")
    for number in range(50):
        stand.redis("SET", f"key:{number}", "before")
    [snapshot] = back_up(stand.storage, stand.intent, ["cache"])
    stand.redis("FLUSHALL")
    stand.redis("SET", "other", "after")
    done = restore(stand.storage, stand.intent, "cache", snapshot.id)
    assert done.verified == ("50 keys",)
    assert stand.redis("GET", "key:7") == "before"
    assert stand.redis("GET", "other") == ""
    stand.redis("SET", "new", "kept")
    docker("restart", stand.container("cache"))
    Server(place_of(stand.server, stand.name, "cache"), "cachepass").await_loaded()
    assert stand.redis("DBSIZE") == "51"
    dropped = drop_kept(stand.storage, stand.intent, "cache")
    assert {name.partition(".before-")[0] for name in dropped} == {"dump.rdb", "appendonlydir"}, dropped
    assert drop_kept(stand.storage, stand.intent, "cache") == ()


def test_redis_comes_back_while_clients_go_on_writing_to_it(stand: Stand) -> None:
    stand.redis("FLUSHALL")
    stand.redis("MSET", *(word for n in range(60) for word in (f"key:{n}", "before")))
    [snapshot] = back_up(stand.storage, stand.intent, ["cache"])
    over = threading.Event()

    def write() -> None:
        while not over.wait(0.05):
            with contextlib.suppress(HavreError):
                stand.redis("SET", f"written:{time.monotonic()}", "1")
                stand.redis("DEL", "key:3")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = restore(stand.storage, stand.intent, "cache", snapshot.id)
    finally:
        over.set()
        writer.join()
    assert done.verified == ("60 keys",)
    assert stand.redis("GET", "key:7") == "before"


def test_what_cannot_be_put_beside_is_taken_out_by_the_very_command_that_the_hint_gives(
    stand: Stand, tmp_path: Path
) -> None:
    stand.redis("SET", "by hand", "yes")
    [snapshot] = back_up(stand.storage, stand.intent, ["cache"])
    with pytest.raises(InputError, match="--to names a database or a volume") as refused:
        restore(stand.storage, stand.intent, "cache", snapshot.id, to="beside")
    command = refused.value.problems[0].hint.split("`")[1]
    where = f"{Path(stand.variables['HAVRE_RESTIC']).parent}:{stand.variables['PATH']}"
    key = stand.storage.vault.password()
    subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, check=True,
        env={**stand.variables, "PATH": where, "RESTIC_PASSWORD": key, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert b"by hand" in (tmp_path / "dump.rdb").read_bytes()


def test_a_volume_gets_back_exactly_its_files(stand: Stand) -> None:
    policy = BackupPolicy(service="cache", kind="volume")
    intent = replace(stand.intent, app=replace(stand.intent.app, backups=(policy,)))
    stand.redis("SET", "volume", "yes")
    [snapshot] = back_up(stand.storage, intent, ["cache"])
    stand.redis("FLUSHALL")
    place_of(stand.server, stand.name, "cache").ask(("sh", "-c", "echo extra > /data/extra"))
    done = restore(stand.storage, intent, "cache", snapshot.id)
    assert stand.redis("GET", "volume") == "yes"
    assert place_of(stand.server, stand.name, "cache").ask(("test", "-e", "/data/extra")).exit_code == 1
    assert done.kept[0].startswith("cache-")


def test_there_must_be_a_snapshot(stand: Stand) -> None:
    with pytest.raises(InputError, match="no snapshot nowhere of db"):
        restore(stand.storage, stand.intent, "db", "nowhere")


def test_restores_are_in_the_audit_log(stand: Stand) -> None:
    stand.redis("SET", "a", "1")
    [snapshot] = back_up(stand.storage, stand.intent, ["cache"])
    done = restore(stand.storage, stand.intent, "cache", snapshot.id)
    newest, *_ = stand.state.instances.audit(instance=stand.name)
    assert (newest.by, newest.action) == ("tests", f"restore cache from {snapshot.id}")
    assert newest.outcome == f"verified and in use; kept {done.kept[0]}"
