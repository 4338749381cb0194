"""MariaDB: dumps that are proven, restores beside the live database and in its place, drills, and what goes wrong."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from command import run_havre
from data_stand import docker
from ending import end_helpers
from mysql_stand import COUNTS, MysqlStand, deployed

from havre.backups import mysql_swap
from havre.backups.migration_tools import TOOLS
from havre.backups.mysql_accounts import make_missing
from havre.backups.mysql_client import quoted
from havre.backups.mysql_revisions import schema_state
from havre.backups.mysqldump import Code, Section
from havre.backups.vault import escrow_text
from havre.errors import FailedError, HavreError, RefusedError
from havre.model.backup import Snapshot, Verdict
from havre.model.route import AppEdge, Route
from havre.store.state import State
from havre.workflows.backup import back_up
from havre.workflows.drill import drill
from havre.workflows.intent import Intent
from havre.workflows.places import place_of
from havre.workflows.recover_server import keep_configuration
from havre.workflows.restore import drop_kept, restore

pytestmark = pytest.mark.docker

CODE = (
    "SELECT CONCAT_WS(' ', 'trigger', TRIGGER_NAME, DEFINER) FROM information_schema.TRIGGERS"
    " WHERE TRIGGER_SCHEMA = '{0}'"
    " UNION ALL SELECT CONCAT_WS(' ', 'view', TABLE_NAME, DEFINER) FROM information_schema.VIEWS"
    " WHERE TABLE_SCHEMA = '{0}'"
    " UNION ALL SELECT CONCAT_WS(' ', 'routine', ROUTINE_NAME, DEFINER) FROM information_schema.ROUTINES"
    " WHERE ROUTINE_SCHEMA = '{0}'"
    " UNION ALL SELECT CONCAT_WS(' ', 'event', EVENT_NAME, DEFINER, STATUS) FROM information_schema.EVENTS"
    " WHERE EVENT_SCHEMA = '{0}' ORDER BY 1"
)
COLLATION = (
    "SHOW CREATE DATABASE shop; SELECT ROUTINE_NAME, DATABASE_COLLATION FROM information_schema.ROUTINES"
    " WHERE ROUTINE_SCHEMA = 'shop' ORDER BY 1"
)
RIGHTS = "SHOW GRANTS FOR shop; SHOW GRANTS FOR reader@'10.%'"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MysqlStand]:
    """One server for all of these."""
    directory = tmp_path_factory.mktemp("mysql")
    made = deployed(directory, manifest=f"backups: {{db: {{to: 'age:{directory}/kept'}}}}\n")
    try:
        yield made
    finally:
        made.tear_down()


@pytest.fixture(scope="module")
def taken(shop: MysqlStand) -> Snapshot:
    """The shop as it was made."""
    [snapshot] = back_up(shop.storage, shop.intent, ["db"])
    return snapshot


def with_policy(shop: MysqlStand, **policy: object) -> Intent:
    one = replace(shop.intent.app.backups[0], **policy)  # type: ignore[arg-type]
    return replace(shop.intent, app=replace(shop.intent.app, backups=(one,)))


def test_every_row_of_the_dump_is_counted_and_what_is_not_of_one_moment_is_told(taken: Snapshot) -> None:
    assert (taken.verdict, taken.kind, taken.reasons) == (Verdict.GOOD, "mysql", ())
    assert dict(taken.parts[0].counts) == COUNTS
    assert "not of one moment, because their engine has no transactions: shop.loose (MyISAM)" in taken.checks
    assert "reader" in taken.globals_sql
    assert "root" not in taken.globals_sql
    assert "clerk" not in str(taken)


def test_a_busy_database_is_replaced_as_a_whole_and_kept(shop: MysqlStand, taken: Snapshot) -> None:
    code, rights = shop.sql(CODE.format("shop")), shop.sql(RIGHTS)
    shop.sql("DROP TABLE loose; CREATE TABLE later (id INT); DROP USER reader@'10.%'")
    shop.traffic.edge = AppEdge(instance=shop.name, routes=(Route(host="shop.test", service="web", port=80),))
    shop.traffic.events.clear()
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with contextlib.suppress(HavreError):  # connections are ended at the swap
                shop.sql("INSERT INTO orders (customer, total) VALUES (1, 0)")

    def press() -> None:
        while not shop.traffic.events and not stop.is_set():
            stop.wait(0.05)
        os.kill(os.getpid(), signal.SIGINT)  # somebody presses Ctrl-C as the databases change places

    told: list[str] = []
    others = [threading.Thread(target=write), threading.Thread(target=press)]
    for other in others:
        other.start()
    try:
        done = restore(shop.storage, shop.intent, "db", taken.id, progress=told.append)
    finally:
        shop.traffic.edge = None
        stop.set()
        for other in others:
            other.join()
    assert "it cannot be stopped now: the databases are changing places" in told
    assert done.verified == ("shop: 1006 rows in 5 tables",)
    assert shop.traffic.events == ["hold web:80", "lead again"]
    assert shop.sql("SELECT COUNT(*) FROM orders WHERE total > 0") == "1000"
    [kept] = done.kept
    found = [line for line in shop.sql(RIGHTS).splitlines() if kept not in line]
    assert (shop.sql(CODE.format("shop")), found) == (code, rights.splitlines())
    assert int(shop.sql("SELECT COUNT(*) FROM orders", kept)) > 1000
    assert shop.sql("SHOW TABLES LIKE 'later'", kept) == "later"
    assert shop.sql(CODE.format(kept)) == code.replace("ENABLED", "DISABLED")
    audited = int(shop.sql("SELECT COUNT(*) FROM audit"))
    shop.sql("INSERT INTO orders (customer, total) VALUES (1, 999)")
    assert int(shop.sql("SELECT COUNT(*) FROM audit")) == audited + 1, "the trigger and its procedure are there"
    with pytest.raises(FailedError, match="failed: exit code 1"):
        shop.sql("DELETE FROM customers WHERE id = 1")
    shop.sql("CREATE DATABASE shop__new_20260101_000000")  # as a killed restore leaves it
    cut_off = shop.server.state.backups / f"{kept}.sql"
    cut_off.touch()
    with pytest.raises(RefusedError, match="was cut off while databases changed places"):
        drop_kept(shop.storage, shop.intent, "db")
    cut_off.unlink()
    assert set(drop_kept(shop.storage, shop.intent, "db")) == {kept, "shop__new_20260101_000000"}
    assert shop.sql(RIGHTS) == rights, "no rights are left behind"


def test_a_database_comes_back_beside_and_where_it_is_gone(shop: MysqlStand, taken: Snapshot) -> None:
    told: list[str] = []
    done = restore(shop.storage, shop.intent, "db", taken.id, to="be side", progress=told.append)
    assert (done.into, done.kept) == (("be side",), ())
    assert "shop: its events are not in be side: they would run beside the live ones" in told
    assert shop.sql("SELECT COUNT(*) FROM a_bigger", "be side") == "50"
    assert shop.sql("SELECT HEX(raw), note FROM customers WHERE id = 1", "be side") == "0027295C\tx'),('y\nz\\"
    code, collation = shop.sql(CODE.format("shop")), shop.sql(COLLATION)
    assert "utf8mb4_czech_ci" in collation
    shop.sql("DROP DATABASE `be side`; DROP DATABASE shop", "")
    assert restore(shop.storage, shop.intent, "db", taken.id).kept == ()
    assert (shop.sql(CODE.format("shop")), shop.sql(COLLATION)) == (code, collation)


def test_a_swap_that_fails_half_way_is_taken_back(shop: MysqlStand, taken: Snapshot, tmp_path: Path) -> None:
    code, rights, tables = shop.sql(CODE.format("shop")), shop.sql(RIGHTS), shop.sql("SHOW TABLES")
    shop.sql("CREATE DATABASE fresh; CREATE TABLE fresh.orders (id INT); CREATE TABLE fresh.other (id INT)")
    broken = Code()
    broken.add(Section.EVENTS, b"CREATE NONSENSE;\n")
    place = place_of(shop.server, shop.name, "db")
    swap = mysql_swap.prepared(place, "shop", "fresh", "kept", broken, tmp_path / "code.sql")
    with pytest.raises(FailedError, match="near 'NONSENSE'") as failed:
        swap.run()
    assert failed.value.problems[0].effect == "shop is as it was"
    assert (shop.sql(CODE.format("shop")), shop.sql(RIGHTS), shop.sql("SHOW TABLES")) == (code, rights, tables)
    assert shop.sql("SHOW TABLES", "fresh") == "orders\nother"
    assert "kept" not in shop.sql("SHOW DATABASES")
    assert not list(tmp_path.iterdir())
    shop.sql("DROP DATABASE fresh")


def test_the_history_of_tables_is_told_to_be_in_no_backup(shop: MysqlStand) -> None:
    shop.sql("CREATE TABLE past (id INT) WITH SYSTEM VERSIONING; INSERT INTO past VALUES (1); UPDATE past SET id = 2")
    [snapshot] = back_up(shop.storage, shop.intent, ["db"])
    shop.sql("DROP TABLE past")
    assert dict(snapshot.parts[0].counts)["past"] == 1
    assert "without what system-versioned tables keep of earlier rows: shop.past" in snapshot.checks


@pytest.mark.parametrize("name", ["a/b", "we`ird_-'%\"ž\\", "only views"])
def test_databases_of_any_name_and_content_come_back(shop: MysqlStand, name: str) -> None:
    shop.sql(f"CREATE DATABASE {quoted(name)} CHARACTER SET latin1", "")
    shop.sql("CREATE VIEW v AS SELECT 1 AS a, 'x;\n-- Dump completed' AS b", name)
    held, before = "SELECT MD5(CONCAT_WS('|', `a(`, HEX(b), c, d, e + 0)) FROM `UPPER``(` ORDER BY 1", ""
    if name != "only views":
        shop.sql(
            "SET NAMES utf8mb4; CREATE TABLE upper (x INT PRIMARY KEY);"
            "CREATE TABLE `UPPER``(` (`a(` VARCHAR(20), b LONGBLOB, c TIME(3), d JSON, e BIT(3));"
            "CREATE TRIGGER `t``1` BEFORE INSERT ON upper FOR EACH ROW SET @x = 1;"
            "INSERT INTO `UPPER``(` VALUES ('-- Dump completed', '', NULL, NULL, NULL),"
            " ('é;', REPEAT(x'00273B0A5C', 300000), '-12:00:00.5', '[1, \"(\"]', b'101');",
            name,
        )
        before = shop.sql(held, name)
    pattern = quoted(name.replace("_", "\\_").replace("%", "\\%"))
    shop.sql(f"GRANT SELECT ON {pattern}.* TO shop", "")
    rights, intent = shop.sql("SHOW GRANTS FOR shop"), with_policy(shop, databases=(name,))
    [snapshot] = back_up(shop.storage, intent, ["db"])
    assert restore(shop.storage, intent, "db", snapshot.id, doubtful=True).into == (name,)
    assert not before or shop.sql(held, name) == before
    assert shop.sql("SELECT a FROM v", name) == "1"
    drop_kept(shop.storage, intent, "db")
    assert shop.sql("SHOW GRANTS FOR shop") == rights
    assert not list(shop.server.state.backups.glob("*.sql")), "nothing is left aside"
    shop.storage.book.forget(snapshot)  # the others are of another database
    shop.sql(f"DROP DATABASE {quoted(name)}; REVOKE SELECT ON {pattern}.* FROM shop", "")


def test_what_was_filled_goes_when_one_of_several_cannot_change_places(
    shop: MysqlStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql_swap, "_PATIENCE", 1)
    for name in ("one", "two"):
        shop.sql(f"CREATE DATABASE {name}; CREATE TABLE {name}.t (id INT); INSERT INTO {name}.t VALUES (1)", "")
    intent = with_policy(shop, databases=("one", "two"))
    [snapshot] = back_up(shop.storage, intent, ["db"])
    shop.sql("DELETE FROM one.t; DELETE FROM two.t", "")

    def hold() -> None:
        with contextlib.suppress(HavreError):
            shop.sql("START TRANSACTION; SELECT * FROM two.t; DO SLEEP(600)", "")

    told: list[str] = []
    holder = threading.Thread(target=hold)
    holder.start()
    try:
        with pytest.raises(FailedError, match="Lock wait timeout") as failed:
            restore(shop.storage, intent, "db", snapshot.id, progress=told.append)
    finally:
        shop.sql(
            "SELECT CONCAT('KILL ', ID) INTO @kill FROM information_schema.PROCESSLIST WHERE INFO = 'DO SLEEP(600)';"
            "EXECUTE IMMEDIATE @kill",
            "",
        )
        holder.join()
    assert failed.value.problems[0].effect == "two is as it was"
    assert shop.sql("SELECT COUNT(*) FROM one.t; SELECT COUNT(*) FROM two.t") == "1\n0"
    assert told[-1].startswith("restored all the same: what was live before is kept as one__before_")
    found = shop.sql("SHOW DATABASES")
    assert ("__new_" in found, "two__before_" in found, "one__before_" in found) == (False, False, True)
    drop_kept(shop.storage, intent, "db")
    shop.storage.book.forget(snapshot)
    shop.sql("DROP DATABASE one; DROP DATABASE two")


def test_accounts_are_made_all_or_none(shop: MysqlStand) -> None:
    place = place_of(shop.server, shop.name, "db")
    wanted = "-- 'first'@'%'\nCREATE USER first;\n-- 'second'@'%'\nCREATE USER second IDENTIFIED VIA nothing;\n"
    with pytest.raises(FailedError, match="nothing"):
        make_missing(place, wanted)
    assert shop.sql("SELECT COUNT(*) FROM mysql.user WHERE User IN ('first', 'second')") == "0"


def test_what_no_rename_carries_over_is_refused_before_anything_is_touched(shop: MysqlStand, taken: Snapshot) -> None:
    shop.sql("CREATE DATABASE crm; CREATE TABLE crm.calls (c INT, FOREIGN KEY (c) REFERENCES shop.customers (id))")
    with pytest.raises(RefusedError, match=r"a foreign key of crm\.calls to shop\.customers, in another database"):
        restore(shop.storage, shop.intent, "db", taken.id)
    assert "__new_" not in shop.sql("SHOW DATABASES")
    with pytest.raises(FailedError, match=r"db\.1 has no database nowhere|has no database nowhere"):
        back_up(shop.storage, with_policy(shop, databases=("nowhere",)), ["db"])
    [both] = back_up(shop.storage, shop.intent, ["db"])
    assert [part.name for part in both.parts] == ["crm", "shop"]
    [one] = back_up(shop.storage, with_policy(shop, databases=("shop",)), ["db"])
    assert [part.name for part in one.parts] == ["shop"]
    shop.sql("DROP DATABASE crm")


def test_a_dump_that_does_not_fit_the_server_leaves_the_live_database_alone(shop: MysqlStand) -> None:
    shop.sql("CREATE TABLE twins (a INT, CHECK (a < 5)); INSERT INTO twins VALUES (1)")
    shop.sql("SET check_constraint_checks = 0; INSERT INTO twins VALUES (9)")
    [snapshot] = back_up(shop.storage, shop.intent, ["db"])
    with pytest.raises(FailedError, match=r"loading the dump into shop__new_.* failed with exit code 1") as failed:
        restore(shop.storage, shop.intent, "db", snapshot.id)
    assert "(9)" not in str(failed.value), "rows are no part of a message"
    assert "__new_" not in shop.sql("SHOW DATABASES")
    shop.sql("DROP TABLE twins")


def test_a_drill_brings_it_back_in_a_throw_away_server(shop: MysqlStand, taken: Snapshot) -> None:
    back_up(shop.storage, shop.intent, ["db"])
    question = "SELECT COUNT(*) = 50 FROM a_bigger"
    [report] = drill(shop.storage, with_policy(shop, assertions=(question,)), ["db"])
    assert report.passed, report.lines
    assert report.lines == ("shop: 1006 rows in 5 tables, as in the snapshot", f"true: {question}")
    assert docker("ps", "-aq", "--filter", f"label=havre.instance={shop.name}-drill") == ""


def test_the_books_of_migration_tools_and_the_shape_of_the_schema_are_read(shop: MysqlStand) -> None:
    """Every tool's own expression is one that the server understands."""
    place = place_of(shop.server, shop.name, "db")
    shop.sql("CREATE DATABASE books")
    for number, tool in enumerate(TOOLS):
        columns = ", ".join(f"`{name}` INT" for name in dict.fromkeys(("id", "script", *tool.columns)))
        shop.sql(f"CREATE DATABASE tool{number}; CREATE TABLE tool{number}.`{tool.table}` ({columns})")
    assert schema_state(place, [f"tool{number}" for number in range(len(TOOLS))]).heads == ()
    shop.sql("; ".join(f"DROP DATABASE tool{number}" for number in range(len(TOOLS))))
    for statement in (
        "CREATE TABLE schema_migrations (version BIGINT, dirty BOOL); INSERT INTO schema_migrations VALUES (4, true)",
        "CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('b'), ('a')",
        "CREATE TABLE django_migrations (id SERIAL, app TEXT, name TEXT, applied DATETIME)",
        "INSERT INTO django_migrations (app, name) VALUES ('auth', '0001'), ('shop', '0001'), ('auth', '0002')",
        "CREATE TABLE DATABASECHANGELOGLOCK (LOCKED BOOL, LOCKEDBY TEXT)",
        "INSERT INTO DATABASECHANGELOGLOCK VALUES (true, 'web')",
    ):
        shop.sql(statement, "books")
    before = schema_state(place, ["books"], shape=True)
    assert {head for _, head in before.heads} == {"4", "a+b", "auth.0002+shop.0001"}
    assert {one.what for one in before.unfinished} == {
        "migrate in books: 4", "liquibase in books: its lock is held by web",
    }  # fmt: skip
    shop.sql("CREATE TABLE half (id INT PRIMARY KEY); CREATE PROCEDURE half_done() SELECT 1", "books")
    added = schema_state(place, ["books"], shape=True).differences(before)
    assert added == ("added: table books.half", "added: function books.half_done, body e004ebd5"), added
    shop.sql("DROP DATABASE books")


def test_a_killed_dump_a_lost_table_and_a_wrong_password_are_failed_backups(shop: MysqlStand) -> None:
    container = shop.container("db")

    def hold() -> None:
        with contextlib.suppress(HavreError):
            shop.sql("LOCK TABLES orders WRITE; DO SLEEP(4)")

    def kill() -> None:
        for _ in range(200):
            running = [line.split() for line in docker("top", container, "-eo", "pid,comm").splitlines()[1:]]
            if found := [int(pid) for pid, name in running if name == "mariadb-dump"]:
                os.kill(found[0], signal.SIGKILL)
                return

    locker, killer = threading.Thread(target=hold), threading.Thread(target=kill)
    locker.start()  # it lets the dump wait, in the middle
    killer.start()
    with pytest.raises(FailedError, match=r"FAILED: `mysqldump` of shop in db\.1 failed: was killed"):
        back_up(shop.storage, with_policy(shop, to=()), ["db"])  # by restic
    killer.join()
    locker.join()
    newest, *_ = shop.storage.book.snapshots(shop.name, "db")
    assert (newest.verdict, newest.parts) == (Verdict.FAILED, ())

    shop.sql("DELETE FROM orders LIMIT 600")
    [shrunk] = back_up(shop.storage, shop.intent, ["db"])
    assert (shrunk.verdict, shrunk.reasons[0]) == (Verdict.SUSPICIOUS, "shop, orders: 400 after 1000")

    shop.sql("ALTER USER root@localhost IDENTIFIED BY 'another'", "")
    with pytest.raises(FailedError, match="Access denied") as failed:
        back_up(shop.storage, shop.intent, ["db"])
    assert "s3cret" not in str(failed.value)
    assert "`kind: volume`" in failed.value.problems[0].hint
    docker("stop", container)
    with pytest.raises(FailedError, match="no replica of db runs"):
        back_up(shop.storage, shop.intent, ["db"])


def test_an_empty_server_gets_it_back_from_repository_and_key_alone(shop: MysqlStand, tmp_path: Path) -> None:
    keep_configuration(shop.storage, shop.intent, "havre.yaml")
    url = shop.intent.app.backups[0].to[0]
    (tmp_path / "paper.txt").write_text(escrow_text(shop.storage.vault.password(), (url,), "test"))
    shop.tear_down()
    shutil.rmtree(shop.directory / "app")
    new = tmp_path / "new-server"
    new.mkdir()
    options = ("--repository", url, "--key-file", str(tmp_path / "paper.txt"), "--yes", "--engine", "docker")
    try:
        told = run_havre(new, "recover-server", *options, variables=shop.variables)
        assert "is back after" in " ".join(told.stdout.split()), told.stdout
        shop.state = State(new / "state")
        shop.server = shop.new_server()
        assert shop.sql("SELECT COUNT(*) FROM orders") == "1000"
        assert shop.sql("SHOW GRANTS FOR reader@'10.%'").count("GRANT SELECT ON `shop`.`customers`") == 1
        assert shop.sql("SELECT COUNT(*) FROM a_bigger") == "50"
        assert "__before_" not in shop.sql("SHOW DATABASES")
    finally:
        end_helpers(new / "state")
