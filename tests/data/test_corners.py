"""What databases and destinations can be like in the wild: unusual names, rights and contents; some that are away."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from data_stand import Stand, docker
from data_tools import restic

from havre.backups.book import read_records
from havre.errors import FailedError, HavreError, InputError
from havre.model.backup import BackupPolicy, Retention, Verdict
from havre.workflows.backup import accept, back_up
from havre.workflows.backup_status import status_of
from havre.workflows.drill import drill, refuse_failed
from havre.workflows.intent import Intent
from havre.workflows.places import place_of
from havre.workflows.restore import drop_kept, restore
from havre.workflows.tidying import tidy

pytestmark = [pytest.mark.docker, pytest.mark.slow]

UNUSUAL = "größe=1/2 %\"q'\\"


def to(stand: Stand, *urls: Path | str, service: str = "db", **more: object) -> Intent:
    policy = BackupPolicy(service=service, to=tuple(map(str, urls)), **more)  # type: ignore[arg-type]
    return replace(stand.intent, app=replace(stand.intent.app, backups=(policy,)))


def make_unusual(stand: Stand) -> None:
    quoted = UNUSUAL.replace('"', '""')
    stand.sql('CREATE ROLE "Büro-1" LOGIN')
    stand.sql(f'CREATE DATABASE "{quoted}" OWNER "Büro-1" CONNECTION LIMIT 77')
    for statement in (
        f'ALTER DATABASE "{quoted}" SET search_path TO "My.Schema", public',
        f'ALTER ROLE "Büro-1" IN DATABASE "{quoted}" SET statement_timeout TO \'9s\'',
        f'REVOKE CONNECT ON DATABASE "{quoted}" FROM PUBLIC',
        'CREATE SCHEMA "My.Schema" AUTHORIZATION "Büro-1"',
        'CREATE TABLE "My.Schema"."Ta.ble ü" AS SELECT g AS id, \'ß\' || g AS text FROM generate_series(1, 30) g',
        "CREATE EXTENSION hstore",
        "CREATE TABLE tags (id int GENERATED ALWAYS AS IDENTITY, kept hstore)",
        "INSERT INTO tags (kept) VALUES ('a=>1'), ('b=>2')",
        "CREATE TABLE parts (at int) PARTITION BY RANGE (at)",
        "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100)",
        "INSERT INTO parts SELECT generate_series(1, 40)",
        "CREATE MATERIALIZED VIEW sums AS SELECT sum(at) AS total FROM parts",
        "SELECT lo_from_bytea(4711, decode(repeat('00ff', 50000), 'hex'))",
    ):
        stand.sql(statement, UNUSUAL)


def test_a_database_that_lets_nobody_in_is_told_to_be_in_no_backup(stand: Stand) -> None:
    stand.sql("CREATE DATABASE shut ALLOW_CONNECTIONS false")
    [snapshot] = back_up(stand.storage, stand.intent, ["db"])
    stand.sql("DROP DATABASE shut")
    assert "shut" not in [part.name for part in snapshot.parts]
    assert "shut lets nobody in (datallowconn): no backup has it" in snapshot.checks
    for name in ("", "x" * 64):
        with pytest.raises(InputError, match="can be the name of no database"):
            restore(stand.storage, stand.intent, "db", snapshot.id, only=["shop"], to=name)


def test_an_unlogged_table_that_a_crash_emptied_makes_no_backup_suspicious(stand: Stand) -> None:
    stand.sql("CREATE UNLOGGED TABLE passing AS SELECT generate_series(1, 500) AS id")
    stand.sql("CREATE TABLE lasting AS SELECT generate_series(1, 10) AS id")
    assert back_up(stand.storage, stand.intent, ["db"])[0].is_good
    docker("kill", stand.container("db"))
    docker("start", stand.container("db"))
    for _ in range(100):
        with contextlib.suppress(HavreError, AssertionError):
            if stand.sql("SELECT count(*) FROM passing") == "0":
                break
        time.sleep(0.3)
    [snapshot] = back_up(stand.storage, stand.intent, ["db"])
    assert snapshot.is_good, snapshot.reasons
    [part] = [part for part in snapshot.parts if part.name == "shop"]
    assert ("public.lasting", 10) in part.counts
    stand.sql("DROP TABLE passing, lasting")


def test_an_unusual_database_that_was_dropped_comes_back_with_owner_settings_and_rights(stand: Stand) -> None:
    make_unusual(stand)
    stand.sql("CREATE DATABASE empty")
    [snapshot] = back_up(stand.storage, stand.intent, ["db"])
    assert snapshot.is_good, snapshot.reasons
    assert {part.name: part.total for part in snapshot.parts} == {"empty": 0, "shop": 0, UNUSUAL: 72}
    refuse_failed(drill(stand.storage, stand.intent, ["db"]))
    stand.sql('DROP DATABASE "{}" WITH (FORCE)'.format(UNUSUAL.replace('"', '""')))
    with pytest.raises(InputError, match="holds several: empty, größe"):
        restore(stand.storage, stand.intent, "db", snapshot.id, to="beside")
    with pytest.raises(InputError, match="does not hold nowhere"):
        restore(stand.storage, stand.intent, "db", snapshot.id, only=["nowhere"])
    done = restore(stand.storage, stand.intent, "db", snapshot.id, only=[UNUSUAL])
    assert (done.into, done.kept) == ((UNUSUAL,), ())
    assert stand.sql('SELECT count(*) FROM "Ta.ble ü"', UNUSUAL) == "30", "by the search path"
    assert stand.sql("SELECT kept -> 'b' FROM tags WHERE id = 2", UNUSUAL) == "2"
    assert stand.sql("SELECT total FROM sums", UNUSUAL) == "820"
    assert stand.sql("SELECT length(lo_get(4711))", UNUSUAL) == "100000"
    about = "SELECT pg_get_userbyid(datdba), datconnlimit, has_database_privilege('pg_monitor', oid, 'connect')"
    assert stand.sql(f"{about} FROM pg_database WHERE datname = current_database()", UNUSUAL) == "Büro-1\t77\tf"
    settings = "SELECT setconfig FROM pg_db_role_setting WHERE setrole = '\"Büro-1\"'::regrole"
    assert stand.sql(settings) == "{statement_timeout=9s}"
    assert restore(stand.storage, stand.intent, "db", snapshot.id, only=["shop"], to="beside").into == ("beside",)
    for name in ("beside", "empty", UNUSUAL.replace('"', '""')):
        stand.sql(f'DROP DATABASE "{name}"')


def test_a_table_that_was_dropped_since_is_told_by_name(stand: Stand, tmp_path: Path) -> None:
    intent = to(stand, tmp_path / "repo")
    stand.sql("CREATE TABLE kept AS SELECT generate_series(1, 500); CREATE TABLE lost AS SELECT generate_series(1, 60)")
    [good] = back_up(stand.storage, intent, ["db"])
    if not good.is_good:
        accept(stand.storage, stand.name, good.id)  # databases of another test are gone
    stand.sql("DROP TABLE lost")
    [doubted] = back_up(stand.storage, intent, ["db"])
    assert (doubted.verdict, doubted.reasons) == (Verdict.SUSPICIOUS, ("shop, public.lost: 0 after 60",))
    accept(stand.storage, stand.name, doubted.id)


def test_a_destination_that_is_away_costs_no_backup_and_gets_what_it_missed(stand: Stand, tmp_path: Path) -> None:
    here, away = tmp_path / "here", tmp_path / "mount/away"
    intent = to(stand, away, here, service="cache")
    stand.redis("MSET", "a", "1", "b", "2")
    [everywhere] = back_up(stand.storage, intent, ["cache"])
    assert everywhere.places == (str(away), str(here))
    away.parent.rename(tmp_path / "unplugged")
    with pytest.raises(FailedError, match=r"cache-\S+ is not in .*/away: there is no repository at") as failed:
        back_up(stand.storage, intent, ["cache"])
    assert f"it is good in {here}" in failed.value.problems[0].effect
    alone = stand.storage.book.newest_good(stand.name, "cache")
    assert alone is not None
    assert alone.places == (str(here),)
    assert "the newest one is not in" in status_of(stand.storage, intent, alone.ended_at)[0].problems[0]
    assert not away.exists(), "an unplugged disk is not taken for an empty one"
    stand.redis("FLUSHALL")
    restore(stand.storage, intent, "cache", alone.id)
    assert stand.redis("DBSIZE") == "2"
    (tmp_path / "unplugged").rename(away.parent)
    [newest] = back_up(stand.storage, intent, ["cache"])
    for url in (away, here):
        stored = {record.id for record in read_records(stand.storage.repository(str(url)))}
        assert stored == {everywhere.id, alone.id, newest.id}


def test_no_destination_at_all_is_a_failed_backup_with_the_trouble_of_each(stand: Stand, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    intent = to(stand, tmp_path / "file/one", f"age:{tmp_path / 'file/two'}", service="cache")
    with pytest.raises(FailedError) as failed:
        back_up(stand.storage, intent, ["cache"])
    assert [problem.subject for problem in failed.value.problems] == ["cache", "cache"]
    assert all("backup of cache FAILED" in problem.summary for problem in failed.value.problems)
    assert stand.storage.book.snapshots(stand.name, "cache")[0].verdict is Verdict.FAILED


def test_old_snapshots_and_killed_ones_go_everywhere_and_nobody_elses(stand: Stand, tmp_path: Path) -> None:
    first, second = tmp_path / "first", f"age:{tmp_path / 'second'}"
    intent = to(stand, first, second, service="cache", keep=Retention(last=1, minimum=1))
    stand.redis("SET", "a", "1")
    back_up(stand.storage, intent, ["cache"])
    repository = stand.storage.repository(str(first))
    repository.store_small("x", ["instance=another", "service=cache", "backup=cache-1"], b"another app's")
    options = ["--stdin", "--stdin-filename=dump.rdb", "--time=2026-01-01 00:00:00"]
    tags = [f"--tag={tag}" for tag in (f"instance={stand.name}", "service=cache", "backup=cache-killed")]
    subprocess.run(
        [str(restic()), "-r", str(first), "backup", "-q", *options, *tags], input=b"half", check=True,
        env={**stand.variables, "RESTIC_PASSWORD": stand.storage.vault.password(), "HOME": str(tmp_path)},
    )  # fmt: skip
    [newest] = back_up(stand.storage, intent, ["cache"])
    assert [one.id for one in stand.storage.book.snapshots(stand.name, "cache") if str(first) in one.places] == [
        newest.id
    ]
    for url in (str(first), second):
        mine = stand.storage.repository(url).snapshots([f"instance={stand.name}"])
        assert {tag for one in mine for tag in one.tags if tag.startswith("backup=")} == {f"backup={newest.id}"}
    assert len(repository.snapshots(["instance=another"])) == 1
    assert tidy(stand.storage, stand.name, intent.app.backups[0], thorough=True).gone == ()
    shutil.rmtree(first)
    assert tidy(stand.storage, stand.name, intent.app.backups[0], thorough=True).problems != ()


def test_what_a_command_writes_into_a_directory_is_kept_and_read_again(stand: Stand, tmp_path: Path) -> None:
    export = ("sh", "-c", "mkdir -p /tmp/export && echo realm > /tmp/export/realm.json")
    read = ("sh", "-c", "cp /tmp/export/realm.json /tmp/imported")
    intent = to(
        stand, tmp_path / "repo", service="cache", command=export, directory="/tmp/export", restore_command=read
    )
    [taken] = back_up(stand.storage, intent, ["cache"])
    assert (taken.kind, taken.verdict, taken.parts[0].counts) == ("command", Verdict.GOOD, (("files", 1), ("bytes", 6)))
    place = place_of(stand.server, stand.name, "cache")
    place.ask(("rm", "-r", "/tmp/export"))
    restore(stand.storage, intent, "cache", taken.id)
    assert place.ask(("cat", "/tmp/imported")).output == "realm\n"
    refuse_failed(drill(stand.storage, intent, ["cache"]))
    place.ask(("touch", "-d", "2026-01-01", "/tmp/export/realm.json"))
    idle = to(stand, tmp_path / "repo", service="cache", command=("true",), directory="/tmp/export")
    [doubted] = back_up(stand.storage, idle, ["cache"])
    assert doubted.reasons == ("the command wrote no file into /tmp/export",)


def test_a_restore_while_a_backup_runs_leaves_no_half_of_either(stand: Stand, tmp_path: Path) -> None:
    intent = to(stand, tmp_path / "repo")
    stand.sql("CREATE TABLE bulk AS SELECT g AS id, repeat(md5(g::text), 40) AS text FROM generate_series(1, 30000) g")
    [good] = back_up(stand.storage, intent, ["db"])
    failures: list[HavreError] = []

    def also() -> None:
        try:
            back_up(stand.storage, intent, ["db"])
        except HavreError as error:
            failures.append(error)

    other = threading.Thread(target=also)
    other.start()
    done = restore(stand.storage, intent, "db", good.id)
    other.join()
    rows = good.parts[0].total
    assert rows >= 30000
    assert done.verified == (f"shop: {rows} rows in {len(good.parts[0].counts)} tables",)
    complete = {record.id for record in read_records(stand.storage.repository(str(tmp_path / "repo")))}
    known = {one.id: one for one in stand.storage.book.snapshots(stand.name, "db")}
    assert all(known[name].parts[0].total == rows for name in complete)
    assert len(complete) == 2 - len(failures)
    drop_kept(stand.storage, intent, "db")
    stand.sql("DROP TABLE bulk")
