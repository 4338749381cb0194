"""Point-in-time recovery on real PostgreSQL servers: what was committed comes back, at any moment; gaps alarm."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from data_stand import Stand, docker
from pitr_stand import MANIFEST, archive_of, deployed, eventually, keep, problems, ready, tear_down

from havre.backups.wal_book import WalBook
from havre.engines.base import LogQuery
from havre.errors import FailedError, InputError, RefusedError
from havre.host import clock
from havre.model.backup import BackupPolicy
from havre.workflows import replay
from havre.workflows.backup import back_up
from havre.workflows.backup_status import status_of
from havre.workflows.boot import come_back
from havre.workflows.drill import drill, refuse_failed
from havre.workflows.intent import Intent
from havre.workflows.places import place_of
from havre.workflows.receiver import end_receivers, receivers_of, spool_of
from havre.workflows.recovery import recover_to
from havre.workflows.restore import drop_kept
from havre.workflows.wal import keep_wal

pytestmark = pytest.mark.docker

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A database whose log is kept; each test leaves it well."""
    made = deployed(tmp_path_factory.mktemp("pitr"), "postgres:15-alpine", MANIFEST)
    try:
        yield made
    finally:
        tear_down(made)


class Writer:
    """Commits one row after the other, as fast as it goes, and tells which the server acknowledged."""

    def __init__(self, container: str) -> None:
        statements = 'i=0; while :; do i=$((i+1)); echo "INSERT INTO orders VALUES ($i) RETURNING id;"; done'
        self._process = subprocess.Popen(
            ["bash", "-c", f"({statements}) | docker exec -i {container} psql -qAt -U shop shop"],
            stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def acknowledged(self, rows: int) -> int:
        assert self._process.stdout is not None
        return [int(next(self._process.stdout)) for _ in range(rows)][-1]

    def last(self) -> int:
        """After the server's end."""
        with self._process as ended:  # closes its output, too
            assert ended.stdout is not None
            return max((int(line) for line in ended.stdout if line.strip().isdigit()), default=0)


def test_every_row_committed_before_a_kill_comes_back(stand: Stand) -> None:
    stand.sql("CREATE TABLE orders (id int)")
    keep(stand)
    container = stand.container("db")
    writer = Writer(container)
    acknowledged = writer.acknowledged(300)
    docker("kill", "-s", "KILL", container)
    acknowledged = max(acknowledged, writer.last())
    docker("start", container)
    eventually(lambda: ready(stand))
    keep(stand)
    recover_to(stand.storage, stand.intent, "db", None)
    newest = int(stand.sql("SELECT max(id) FROM orders"))
    assert newest >= acknowledged
    assert stand.sql("SELECT count(*) FROM orders") == str(newest)
    stand.sql("DROP TABLE orders")
    drop_kept(stand.storage, stand.intent, "db")


def test_a_killed_database_whose_disk_is_lost_too_costs_the_last_moment_at_most(make: Callable[..., Stand]) -> None:
    stand = make()
    stand.sql("CREATE TABLE orders (id int)")
    keep(stand)
    container = stand.container("db")
    writer = Writer(container)
    a_second_before = writer.acknowledged(300)
    time.sleep(1.0)
    docker("kill", "-s", "KILL", container)
    acknowledged = max(a_second_before, writer.last())
    image = docker("inspect", "-f", "{{.Image}}", container).strip()
    lost = ("--volumes-from", container, "--entrypoint", "sh", image, "-c", "rm -rf /var/lib/postgresql/data/*")
    docker("run", "--rm", "--network", "none", *lost)
    done = recover_to(stand.storage, stand.intent, "db", None)
    newest = int(stand.sql("SELECT max(id) FROM orders"))
    print(f"acknowledged {acknowledged}, restored {newest}, {done.seconds:.1f} s")
    assert newest >= a_second_before
    assert stand.sql("SELECT count(*) FROM orders") == str(newest)


def test_any_moment_is_restored_and_what_was_live_is_kept(stand: Stand) -> None:
    stand.sql("CREATE TABLE letters AS SELECT g AS id FROM generate_series(1, 500) g")
    first = keep(stand)
    chains = len(first.chains)
    stand.sql("INSERT INTO letters SELECT g FROM generate_series(501, 700) g")
    time.sleep(1.1)
    moment = time.time()
    time.sleep(1.1)
    stand.sql("DELETE FROM letters WHERE id <> 3")

    beside = recover_to(stand.storage, stand.intent, "db", moment, to="before_the_accident")
    assert beside.into == ("before_the_accident",)
    assert stand.sql("SELECT count(*) FROM letters", "before_the_accident") == "700"
    assert stand.sql("SELECT count(*) FROM letters") == "1"

    done = recover_to(stand.storage, stand.intent, "db", moment)
    assert stand.sql("SELECT count(*) FROM letters") == "700"
    assert "before_the_accident" not in done.into
    listed = place_of(stand.server, stand.name, "db").ask(("sh", "-c", 'ls "$PGDATA"')).output
    assert done.kept[0] in listed
    assert "havre-new" not in listed
    assert [replica.service for replica in stand.server.engine.observe(stand.name).replicas] == ["db"]

    again = archive_of(stand)
    assert len(again.chains) == chains + 1
    assert again.bases[-1].size < 1.5 * first.bases[0].size  # what is kept in the data directory is not backed up
    assert problems(stand) == ""
    drop_kept(stand.storage, stand.intent, "db")
    assert done.kept[0] not in place_of(stand.server, stand.name, "db").ask(("sh", "-c", 'ls "$PGDATA"')).output


def test_a_moment_that_is_not_kept_is_refused_with_what_is(stand: Stand) -> None:
    unknown = replace(stand.intent, app=replace(stand.intent.app, name=f"{stand.name}-other"))
    with pytest.raises(InputError, match="nothing is kept yet") as refused:
        recover_to(stand.storage, unknown, "db", None)
    assert refused.value.problems[0].hint.startswith("`havre backup wal` takes the first base backup;"), "it has `pitr`"
    without = replace(unknown, app=replace(unknown.app, backups=()))
    with pytest.raises(InputError, match="nothing is kept yet") as refused:
        recover_to(stand.storage, without, "db", None)
    assert refused.value.problems[0].hint.startswith("add `pitr: true` under `backups.db`, then `havre backup wal`")
    other = replace(unknown, app=replace(unknown.app, backups=(BackupPolicy(service="db", kind="volume"),)))
    with pytest.raises(InputError, match="nothing is kept yet") as refused:
        recover_to(stand.storage, other, "db", None)
    assert refused.value.problems[0].hint.startswith(
        "only PostgreSQL's moments are kept, and it is backed up as volume"
    )
    archive = keep(stand)
    for at in (archive.bases[0].ended - 60, time.time() + 3600):
        with pytest.raises(InputError, match="that is not kept") as refused:
            recover_to(stand.storage, stand.intent, "db", at)
        assert f"kept: {clock.show_time(archive.bases[0].ended)} to" in str(refused.value.problems[0])


def test_a_recovery_that_fails_speaks_of_the_service_and_never_of_its_throw_away_replica(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(stand)
    monkeypatch.setattr(replay, "_VERIFY", "echo 'no page is whole' >&2; exit 3")
    with pytest.raises(FailedError) as failed:
        recover_to(stand.storage, stand.intent, "db", None)
    text = str(failed.value.problems[0])
    assert "`pg_verifybackup` in a throw-away replica of db failed: exit code 3\n    no page is whole" in text
    assert "db-recovery" not in text
    assert "havre logs" not in text, "it is gone, and its log with it"
    monkeypatch.undo()
    monkeypatch.setattr(replay, "_SWAP", "echo 'not today' >&2; exit 7")
    with pytest.raises(FailedError) as failed:
        recover_to(stand.storage, stand.intent, "db", None)
    text = str(failed.value.problems[0])
    assert "not today" in text
    assert "`havre logs --failed db` shows all it said" in text
    kept = list(stand.server.engine.logs(stand.name, LogQuery(services=("db",), failed=True)))
    assert "not today" in [line.text for line in kept]
    failed_task = [one for one in stand.server.engine.observe(stand.name).replicas if one.role == "task"]
    assert [one.service for one in failed_task] == ["db"]
    docker("rm", "-f", failed_task[0].id)
    eventually(lambda: ready(stand))


def test_a_kept_log_is_drilled_from_the_repository_as_a_snapshot_is(stand: Stand) -> None:
    stand.sql("CREATE TABLE drilled AS SELECT g AS id FROM generate_series(1, 60) g")
    back_up(stand.storage, stand.intent)
    keep(stand)
    stand.sql("INSERT INTO drilled SELECT g FROM generate_series(61, 90) g")
    keep(stand)
    [policy] = stand.intent.app.backups

    def asserting(sql: str) -> Intent:
        return replace(stand.intent, app=replace(stand.intent.app, backups=(replace(policy, assertions=(sql,)),)))

    dump, log = drill(stand.storage, asserting("SELECT count(*) >= 60 FROM drilled"))
    assert (dump.passed, dump.from_log, log.passed, log.from_log) == (True, False, True, True), (dump.lines, log.lines)
    assert log.snapshot == archive_of(stand).bases[-1].id
    assert log.at - log.rpo > dump.at - dump.rpo, "the log reaches further than the dump"
    assert 0 < log.rto < 120
    print(f"RTO from base and log {log.rto:.1f} s, from the dump {dump.rto:.1f} s")
    _, log = drill(stand.storage, asserting("SELECT count(*) = 60 FROM drilled"))
    with pytest.raises(FailedError, match="an assertion about shop does not hold"):
        refuse_failed([log])
    assert status_of(stand.storage, stand.intent, time.time())[0].drill == log
    for what in ("ps -aq", "volume ls -q"):
        assert docker(*what.split(), "--filter", f"label=havre.instance={stand.name}-drill") == ""
    stand.sql("DROP TABLE drilled")


def test_a_restore_to_a_moment_without_room_is_refused_before_anything_is_written(stand: Stand) -> None:
    archive = keep(stand)
    huge = tuple(replace(base, size=1 << 50) for base in archive.bases)
    WalBook(stand.state.backups).write(stand.name, "db", replace(archive, bases=huge))
    try:
        with pytest.raises(
            RefusedError, match=r"not enough room to restore into a throw-away replica of db: 1048576(\.\d)? GiB needed"
        ):
            recover_to(stand.storage, stand.intent, "db", None)
    finally:
        WalBook(stand.state.backups).write(stand.name, "db", replace(archive_of(stand), bases=archive.bases))
    assert "havre-new" not in place_of(stand.server, stand.name, "db").ask(("sh", "-c", 'ls "$PGDATA"')).output
    assert [replica.service for replica in stand.server.engine.observe(stand.name).replicas] == ["db"]


def test_a_killed_receiver_comes_back_by_itself_and_nothing_is_missing(stand: Stand) -> None:
    before = keep(stand)
    [receiver] = stand.server.engine.observe(receivers_of(stand.name)).replicas
    docker("exec", receiver.name, "sh", "-c", 'for p in /proc/[0-9]*; do case "$(cat $p/comm 2>/dev/null)" in '
           'pg_receivewal) kill -9 "${p#/proc/}";; esac; done')  # fmt: skip
    stand.sql("CREATE TABLE meanwhile AS SELECT 1 AS one")
    eventually(lambda: problems(stand) == "")
    docker("restart", "-t", "20", stand.container("db"))  # its network is another one afterwards
    eventually(lambda: ready(stand))
    eventually(lambda: problems(stand) == "", seconds=60)  # the engine starts the receiver in the new network
    docker("rm", "-f", receiver.name)
    assert "its receiver is not connected" in problems(stand)
    [back] = come_back([stand.name], lambda _: stand.server)  # as after a reboot of the machine
    assert back.problems == ()
    eventually(lambda: problems(stand) == "")
    after = keep(stand)
    assert [chain.id for chain in after.chains] == [chain.id for chain in before.chains]


def test_a_dropped_slot_is_a_gap_that_alarms_and_a_new_base_follows(stand: Stand) -> None:
    keep(stand)
    stand.sql("CREATE TABLE before_the_gap AS SELECT 1 AS one")
    first = keep(stand)
    chain = first.open_chain
    assert chain is not None
    end_receivers(stand.server, stand.name)
    eventually(lambda: stand.sql(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{chain.slot}'") == "f")
    stand.sql(f"SELECT pg_drop_replication_slot('{chain.slot}')")
    stand.sql("CREATE TABLE within_the_gap AS SELECT 2 AS two")
    assert "its log has a gap" in problems(stand)
    with pytest.raises(FailedError, match="its replication slot was dropped"):
        keep(stand)
    assert problems(stand) == ""
    [status] = status_of(stand.storage, stand.intent, time.time())
    until = status.windows[-2].until
    assert status.windows[-1].since > until
    with pytest.raises(InputError, match="that is not kept"):
        recover_to(stand.storage, stand.intent, "db", until + 0.5)
    recover_to(stand.storage, stand.intent, "db", until, to="until_the_gap")
    found = stand.sql("SELECT string_agg(tablename, ' ') FROM pg_tables WHERE tablename ~ 'gap'", "until_the_gap")
    assert found == "before_the_gap"


def test_a_full_spool_alarms_and_costs_nothing_once_there_is_room(make: Callable[..., Stand]) -> None:
    stand = make()
    spool = spool_of(stand.server, stand.name, "db")
    spool.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=72m", "tmpfs", spool], check=True)
    try:
        keep(stand)
        stand.sql(
            "CREATE TABLE big AS SELECT g AS id, repeat(md5(g::text), 40) AS text FROM generate_series(1, 60000) g"
        )
        with pytest.raises(FailedError, match="No space left on device"):
            keep(stand)
        assert "the log of the database is not being received" in problems(stand)
        assert stand.sql("SELECT count(*) FROM big") == "60000"
        subprocess.run(["mount", "-o", "remount,size=400m", spool], check=True)
        assert len(keep(stand).chains) == 1
        assert problems(stand) == ""
    finally:
        end_receivers(stand.server, stand.name)
        subprocess.run(["umount", "-l", spool], check=True)


def test_log_that_nobody_fetches_is_given_up_before_it_fills_the_database_disk(make: Callable[..., Stand]) -> None:
    stand = make(manifest="backups:\n  db: {pitr: {limit: 40MB}}\n")
    keep(stand)
    end_receivers(stand.server, stand.name)
    stand.sql("CREATE TABLE big AS SELECT g AS id, repeat(md5(g::text), 40) AS text FROM generate_series(1, 60000) g")
    assert "of log waits in the database" in problems(stand)
    with pytest.raises(FailedError, match="more than the limit"):
        keep(stand)
    assert problems(stand) == ""
    assert int(stand.sql("SELECT count(*) FROM pg_replication_slots")) == 1


def test_the_next_major_version_and_other_tablespaces(make: Callable[..., Stand]) -> None:
    subprocess.run([sys.executable, ROOT / "lab/up.py", "postgres:16-alpine"], check=True, capture_output=True)
    stand = make("postgres:16-alpine")
    stand.sql("CREATE TABLE orders AS SELECT g AS id FROM generate_series(1, 50) g")
    keep(stand)
    stand.sql("INSERT INTO orders SELECT g FROM generate_series(51, 60) g")
    recover_to(stand.storage, stand.intent, "db", None)
    assert stand.sql("SELECT count(*) FROM orders") == "60"
    place = place_of(stand.server, stand.name, "db")
    place.ask(("sh", "-c", "mkdir /srv/space && chown postgres /srv/space"))
    stand.sql("CREATE TABLESPACE elsewhere LOCATION '/srv/space'")
    with pytest.raises(FailedError, match="tablespace"):
        keep_wal(stand.storage, stand.intent, base=True)


def test_a_policy_without_pitr_says_how_to_turn_it_on(stand: Stand) -> None:
    without = replace(stand.intent, app=replace(stand.intent.app, backups=()))
    with pytest.raises(InputError, match="no service's write-ahead log is kept"):
        keep_wal(stand.storage, without)
    with pytest.raises(InputError, match="is not kept"):
        keep_wal(stand.storage, without, ["db"])
