"""What goes wrong with backups on real servers: each is FAILED, loudly, and nothing older is lost or outshone."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from data_stand import Stand, docker
from s3_server import CREDENTIALS, S3
from small_disk import small_disk

from havre.backups.book import read_records
from havre.errors import FailedError, HavreError, RefusedError
from havre.model.app import Migration
from havre.model.backup import BackupPolicy, Retention, Verdict
from havre.workflows.backup import accept, back_up, snapshot_before_migration
from havre.workflows.backup_status import status_of
from havre.workflows.drill import drill
from havre.workflows.intent import Intent
from havre.workflows.places import place_of
from havre.workflows.restore import restore
from havre.workflows.room import free_in
from havre.workflows.storage import Storage

pytestmark = [pytest.mark.docker, pytest.mark.slow]


def to(stand: Stand, url: str, **more: object) -> Intent:
    policy = BackupPolicy(service="db", to=(url,), **more)  # type: ignore[arg-type]
    return replace(stand.intent, app=replace(stand.intent.app, backups=(policy,)))


def fill(stand: Stand, megabytes: int) -> None:
    stand.sql("DROP TABLE IF EXISTS bulk")
    stand.sql(
        "CREATE TABLE bulk AS SELECT g AS id, string_agg(md5(g::text || i::text), '') AS body"
        f" FROM generate_series(1, {megabytes * 32}) g, generate_series(1, 1024) i GROUP BY g"
    )


def complete(storage: Storage, url: str, instance: str) -> set[str]:
    return {record.id for record in read_records(storage.repository(url), instance)}


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_a_killed_dump_is_a_failed_backup(stand: Stand, tmp_path: Path) -> None:
    fill(stand, 60)
    intent = to(stand, str(tmp_path / "repo"))
    [good] = back_up(stand.storage, intent, ["db"])

    container = stand.container("db")

    def kill() -> None:
        for _ in range(2000):
            running = [line.split() for line in docker("top", container, "-eo", "pid,comm").splitlines()[1:]]
            if found := [int(pid) for pid, name in running if name == "pg_dump"]:
                os.kill(found[0], signal.SIGKILL)
                return

    with meanwhile(kill), pytest.raises(FailedError, match=r"FAILED: `pg_dump` of 'shop' in db\.1 failed: was killed"):
        back_up(stand.storage, intent, ["db"])
    assert complete(stand.storage, intent.app.backups[0].to[0], stand.name) == {good.id}
    newest, *_ = stand.storage.book.snapshots(stand.name, "db")
    assert newest.verdict is Verdict.FAILED
    status = status_of(stand.storage, intent, time.time())[0]
    assert status.newest == good
    assert "the last one failed" in status.problems[0]


def test_a_full_disk_is_a_failed_backup(stand: Stand, tmp_path: Path) -> None:
    fill(stand, 60)
    with small_disk(tmp_path / "disk", "20m") as disk:
        intent = to(stand, str(disk / "repo"))
        with pytest.raises(FailedError, match="the disk is full"):
            back_up(stand.storage, intent, ["db"])
        assert complete(stand.storage, str(disk / "repo"), stand.name) == set()


def test_a_backup_that_cannot_fit_is_refused_before_it_begins(stand: Stand, tmp_path: Path) -> None:
    fill(stand, 60)
    with small_disk(tmp_path / "disk", "8m") as disk:
        (disk / "junk").write_bytes(os.urandom(3_000_000))
        intent = to(stand, str(disk / "repo"))
        with pytest.raises(FailedError, match="there is not enough room to back up") as refused:
            back_up(stand.storage, intent, ["db"])
        [problem] = refused.value.problems
        assert re.search(r"[0-9.]+ MiB needed, [0-9.]+ MiB free at .*disk", problem.summary), problem.summary
        assert "nothing was begun" in problem.effect
        assert not list((disk / "repo").glob("snapshots/*"))
    newest, *_ = stand.storage.book.snapshots(stand.name, "db")
    assert newest.verdict is Verdict.FAILED


def test_a_restore_that_cannot_fit_is_refused_with_the_biggest_databases(stand: Stand, tmp_path: Path) -> None:
    intent = to(stand, str(tmp_path / "repo"))
    fill(stand, 60)  # as much as its neighbours, or the snapshot is suspicious
    [good] = back_up(stand.storage, intent, ["db"])
    place, directory = place_of(stand.server, stand.name, "db"), "/var/lib/postgresql/data"
    assert (free_in(place, directory) or 0) > 10_000_000
    huge = replace(good, parts=tuple(replace(part, size=1 << 50) for part in good.parts))
    stand.storage.book.write(huge)
    try:
        with pytest.raises(RefusedError, match=r"not enough room to restore into db\.1: 1572864 GiB needed") as refused:
            restore(stand.storage, intent, "db", good.id)
    finally:
        stand.storage.book.write(good)
    assert any("in the database shop" in line for line in refused.value.problems[0].evidence)
    assert "__new_" not in stand.sql("SELECT string_agg(datname, ' ') FROM pg_database")
    [report] = drill(stand.storage, intent, ["db"])
    assert report.passed, report.lines


@pytest.mark.parametrize(
    ("at", "after", "said"),
    [
        pytest.param("backup", 2.5, "could not store a snapshot", id="while storing"),
        pytest.param("dump", 0.0, "could not read a snapshot", id="while reading back"),
    ],
)
def test_a_storage_that_dies_in_the_middle_is_a_failed_backup(
    stand: Stand, tmp_path: Path, at: str, after: float, said: str
) -> None:
    fill(stand, 60)
    s3 = S3(tmp_path)
    s3.start()
    storage = replace(stand.storage, variables={**stand.variables, **CREDENTIALS}, patience=8.0)
    intent = to(stand, s3.url)
    try:
        [good] = back_up(storage, intent, ["db"])
        fill(stand, 61)
        if at == "backup":
            s3.kill()
            s3.start(bandwidth="4M")  # storing takes 7 s at least: there is a middle

        def kill() -> None:
            wait_for_restic(s3.url, at)
            time.sleep(after)
            s3.kill()

        with meanwhile(kill), pytest.raises(FailedError, match=f"FAILED: {said} in {s3.url}"):
            back_up(storage, intent, ["db"])
        s3.start()
        assert complete(storage, s3.url, stand.name) == {good.id}
        timer = replace(storage, variables=stand.variables)  # no credentials in its environment: they are sealed
        assert back_up(timer, intent, ["db"])[0].is_good
    finally:
        s3.kill()


def test_keys_that_a_storage_refuses_are_said_before_anybody_gives_up_waiting(stand: Stand, tmp_path: Path) -> None:
    s3 = S3(tmp_path)
    s3.start()
    wrong = {**CREDENTIALS, "AWS_SECRET_ACCESS_KEY": "another"}
    storage = replace(stand.storage, variables={**stand.variables, **wrong})
    began = time.monotonic()
    try:
        with pytest.raises(HavreError) as caught:
            storage.repository(s3.url).exists()
        assert time.monotonic() - began < 60
        [problem] = caught.value.problems
        assert "signature" in " ".join(problem.evidence)
        assert problem.hint.startswith("the storage refuses these keys")
        right = replace(stand.storage, variables={**stand.variables, **CREDENTIALS})
        assert not right.repository(s3.url).exists()
    finally:
        s3.kill()


def test_the_credentials_of_something_else_in_the_environment_take_no_place(stand: Stand, tmp_path: Path) -> None:
    s3 = S3(tmp_path)
    s3.start()
    storage = replace(stand.storage, variables={**stand.variables, **CREDENTIALS}, patience=8.0)
    intent, timer = to(stand, s3.url), replace(storage, variables=stand.variables)
    new = {"AWS_ACCESS_KEY_ID": "renewed", "AWS_SECRET_ACCESS_KEY": "renewedsecret"}
    try:
        back_up(storage, intent, ["db"])
        other = replace(storage, variables={**stand.variables, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"})
        assert back_up(other, intent, ["db"])[0].is_good
        assert back_up(timer, intent, ["db"])[0].is_good

        s3.kill()
        s3.login = "renewed,renewedsecret"
        s3.start()
        renewed = replace(storage, variables={**stand.variables, **new})
        assert back_up(renewed, intent, ["db"])[0].is_good
        assert back_up(timer, intent, ["db"])[0].is_good
    finally:
        s3.kill()


def wait_for_restic(url: str, command: str, seconds: float = 60) -> None:
    """Until a restic runs that does this with that repository."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                words = line.read_bytes().decode(errors="replace").split("\0")
                if url in words and command in words:
                    return
        time.sleep(0.05)
    raise TimeoutError(f"no restic began to {command} with {url}")


def test_a_wrong_key_and_a_damaged_repository_are_said(stand: Stand, tmp_path: Path) -> None:
    url = str(tmp_path / "repo")
    intent = to(stand, url)
    [good] = back_up(stand.storage, intent, ["db"])
    key = stand.storage.vault.password()
    stand.storage.vault.adopt("havre-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa")
    try:
        with pytest.raises(FailedError, match="FAILED: the key does not open the repository"):
            back_up(stand.storage, intent, ["db"])
    finally:
        stand.storage.vault.adopt(key)
    for pack in (tmp_path / "repo/data").glob("*/*"):
        pack.chmod(0o600)
        content = pack.read_bytes()
        pack.write_bytes(content[: len(content) // 2])
    with pytest.raises(HavreError, match="could not check the repository"):
        stand.storage.repository(url).check(share="100%")
    with pytest.raises(FailedError, match="could not read a snapshot"):
        restore(stand.storage, intent, "db", good.id, to="from_damaged")
    assert "from_damaged" not in stand.sql("SELECT string_agg(datname, ' ') FROM pg_database")


def test_alarming_shrinkage_is_suspicious_and_rotates_nothing_away(stand: Stand, tmp_path: Path) -> None:
    intent = to(stand, str(tmp_path / "repo"), keep=Retention(last=1, daily=0, minimum=1))
    stand.sql("DROP TABLE IF EXISTS papers; CREATE TABLE papers AS SELECT generate_series(1, 900) AS id")
    [good] = back_up(stand.storage, intent, ["db"])
    stand.sql("DELETE FROM papers WHERE id > 10")
    [doubtful] = back_up(stand.storage, intent, ["db"])
    assert doubtful.reasons == ("shop, public.papers: 10 after 900",) or "10 after 900" in doubtful.reasons[0]
    assert doubtful.verdict is Verdict.SUSPICIOUS
    assert stand.storage.book.newest_good(stand.name, "db") == good
    assert complete(stand.storage, intent.app.backups[0].to[0], stand.name) == {good.id, doubtful.id}
    accept(stand.storage, stand.name, doubtful.id)
    [next_one] = back_up(stand.storage, intent, ["db"])
    assert next_one.is_good
    assert complete(stand.storage, intent.app.backups[0].to[0], stand.name) == {next_one.id}


def test_no_backup_before_the_key_is_in_a_persons_hands(tmp_path: Path) -> None:
    fresh = Stand(tmp_path)
    (fresh.state.backups / "key.sealed").unlink()
    with pytest.raises(RefusedError, match="nobody has confirmed"):
        back_up(fresh.storage, fresh.intent)


def test_a_fresh_good_snapshot_is_the_safeguard_of_a_migration(stand: Stand, tmp_path: Path) -> None:
    intent = to(stand, str(tmp_path / "repo"))
    said: list[str] = []
    take = snapshot_before_migration(stand.storage, intent, progress=said.append)
    take(("db",))
    count = len(stand.storage.book.snapshots(stand.name, "db"))
    take(("db",))
    assert len(stand.storage.book.snapshots(stand.name, "db")) == count
    assert "is the safeguard" in said[-1]


def test_above_the_users_limit_a_migration_has_no_snapshot_and_this_is_said(stand: Stand, tmp_path: Path) -> None:
    intent = to(stand, str(tmp_path / "repo"))
    [good] = back_up(stand.storage, intent, ["db"])
    for limit, taken in ((1000, False), (1 << 40, True)):
        migration = Migration(service="db", run=("true",), safeguard_limit=limit)
        limited = replace(intent, app=replace(intent.app, migration=migration))
        said: list[str] = []
        snapshot_before_migration(stand.storage, limited, progress=said.append, fresh=0.0)(("db",))
        newest = stand.storage.book.newest_good(stand.name, "db")
        assert newest is not None
        assert (newest.id != good.id) is taken
        assert any("more than `safeguard_limit` (1000 B)" in line and good.id in line for line in said) is not taken
