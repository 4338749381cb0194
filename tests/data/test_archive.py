"""Without restic the same promises hold in a directory: verified, restored, drilled, recovered, failed loudly."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from command import run_havre
from data_stand import Stand
from ending import end_helpers
from small_disk import small_disk

from havre.backups.archive import Archive, is_archive
from havre.backups.book import read_records
from havre.errors import FailedError, InputError, UnavailableError
from havre.model.backup import BackupPolicy, Retention
from havre.store.state import State
from havre.workflows.backup import back_up
from havre.workflows.drill import drill, refuse_failed
from havre.workflows.intent import Intent
from havre.workflows.recover_server import fetch, keep_configuration, revive
from havre.workflows.restore import restore
from havre.workflows.storage import Storage

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture(autouse=True)
def without_restic(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has none."""
    monkeypatch.setattr("havre.backups.restic.find_program", lambda _: None)


def without(stand: Stand) -> Storage:
    return replace(stand.storage, variables={**stand.variables, "HAVRE_RESTIC": "/nowhere/restic"})


def to(stand: Stand, url: str, **more: object) -> Intent:
    policies = tuple(BackupPolicy(service=name, to=(url,), **more) for name in ("db", "cache"))  # type: ignore[arg-type]
    return replace(stand.intent, app=replace(stand.intent.app, backups=policies))


def test_database_and_redis_are_kept_restored_and_drilled(stand: Stand, tmp_path: Path) -> None:
    url = str(tmp_path / "repo")
    storage, intent = without(stand), to(stand, url, keep=Retention(last=1, daily=0, minimum=1))
    stand.sql("DROP TABLE IF EXISTS letters; CREATE TABLE letters AS SELECT g AS id FROM generate_series(1, 4321) g")
    stand.redis("SET", "session", "open")
    back_up(storage, intent)
    taken = back_up(storage, intent)
    assert all(one.is_good for one in taken)
    assert is_archive(tmp_path / "repo")
    assert {one.id for one in read_records(storage.repository(url))} == {one.id for one in taken}
    with pytest.raises(InputError, match="--to names a database or a volume") as refused:
        restore(storage, intent, "cache", to="beside")
    keys = next(one for one in taken if one.service == "cache").parts[0].restic
    assert (
        f"`age -d -i identity {tmp_path}/repo/data/{keys}.zst.age | zstd -d > dump.rdb`"
        in refused.value.problems[0].hint
    )
    assert (tmp_path / f"repo/data/{keys}.zst.age").exists()
    assert "restic" not in refused.value.problems[0].hint
    stand.sql("DROP TABLE letters")
    stand.redis("FLUSHALL")
    for service in ("db", "cache"):
        restore(storage, intent, service)
    assert stand.sql("SELECT count(*) FROM letters") == "4321"
    assert stand.redis("GET", "session") == "open"
    refuse_failed(drill(storage, intent))
    storage.repository(url).check(share="100%")


def test_a_full_disk_is_a_failed_backup_and_leaves_nothing(stand: Stand, tmp_path: Path) -> None:
    stand.sql("DROP TABLE IF EXISTS bulk")
    stand.sql(
        "CREATE TABLE bulk AS SELECT g AS id, string_agg(md5(g::text || i::text), '') AS body"
        " FROM generate_series(1, 1900) g, generate_series(1, 1024) i GROUP BY g"
    )
    with small_disk(tmp_path / "disk", "20m") as disk:
        intent = to(stand, str(disk / "repo"))
        with pytest.raises(FailedError, match="the disk is full"):
            back_up(without(stand), intent, ["db"])
        assert list((disk / "repo/data").iterdir()) == []
    stand.sql("DROP TABLE bulk")


def test_a_wrong_key_and_a_cut_stream_are_said(stand: Stand, tmp_path: Path) -> None:
    url = str(tmp_path / "repo")
    storage, intent = without(stand), to(stand, url)
    [good] = back_up(storage, intent, ["db"])
    key = storage.vault.password()
    storage.vault.adopt("havre-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa")
    try:
        with pytest.raises(FailedError, match="FAILED: the key does not open the repository"):
            back_up(storage, intent, ["db"])
    finally:
        storage.vault.adopt(key)
    for stream in (tmp_path / "repo/data").iterdir():
        stream.write_bytes(stream.read_bytes()[:-1000])
    with pytest.raises(FailedError, match="is not what was stored"):
        restore(storage, intent, "db", good.id, to="from_damaged")
    assert "from_damaged" not in stand.sql("SELECT string_agg(datname, ' ') FROM pg_database")


def test_a_repository_of_restics_is_never_taken_for_an_archive(stand: Stand, tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo/config").write_bytes(b"restic's")
    with pytest.raises(UnavailableError, match=r"restic 0\.16 or newer is needed"):
        without(stand).repository(str(tmp_path / "repo"))
    with pytest.raises(UnavailableError, match="`age:/DIRECTORY`"):
        without(stand).repository("s3:http://127.0.0.1:1/x")


def test_the_whole_app_comes_back_from_an_archive_and_the_key(tmp_path: Path) -> None:
    url = f"age:{tmp_path / 'disk'}"
    stand = Stand(tmp_path / "server", manifest=f'backups:\n  cache: {{to: ["{url}"]}}\n')
    try:
        stand.deploy()
        stand.redis("SET", "kept", "yes")
        storage = without(stand)
        back_up(storage, stand.intent)
        keep_configuration(storage, stand.intent, "havre.yaml")
        key = storage.vault.password()
        stand.tear_down()
        shutil.rmtree(stand.directory)

        started, state = time.monotonic(), State(tmp_path / "new-server/state")
        record = fetch(Archive(url, key), state, None)
        stand.state = state
        stand.server = stand.new_server()
        intent = stand.read()
        storage = without(stand)
        storage.vault.adopt(key)
        revive(storage, intent, record, url, started=started)
        assert stand.redis("GET", "kept") == "yes"
    finally:
        stand.tear_down()


def test_a_recovery_that_fails_in_the_middle_is_gone_on_with(tmp_path: Path) -> None:
    url = f"age:{tmp_path / 'disk'}"
    stand = Stand(tmp_path / "server", manifest=f'backups:\n  cache: {{to: ["{url}"]}}\n  db: {{to: ["{url}"]}}\n')
    new = tmp_path / "new-server"
    new.mkdir()
    try:
        stand.deploy()
        stand.redis("SET", "session", "open")
        stand.sql("CREATE TABLE letters AS SELECT g AS id FROM generate_series(1, 4321) g")
        storage = without(stand)
        (stand.state.directory / "server.yaml").write_text("reserve: 1\n", encoding="utf-8")
        _, database = back_up(storage, stand.intent)
        keep_configuration(storage, stand.intent, "havre.yaml")
        (tmp_path / "paper.txt").write_text(storage.vault.password(), encoding="utf-8")
        stand.tear_down()
        shutil.rmtree(stand.directory)
        recover = (
            "recover-server",
            "--repository",
            url,
            "--key-file",
            str(tmp_path / "paper.txt"),
            "--engine",
            "docker",
        )

        asked = run_havre(new, *recover, check=False)
        assert (asked.returncode, stand.directory.exists(), (new / "state/keys").exists()) == (2, False, False)

        stream = tmp_path / f"disk/data/{database.parts[0].restic}.zst.age"
        stream.rename(tmp_path / "away")
        failed = run_havre(new, *recover, "--yes", check=False)
        assert (failed.returncode, "the same command goes on from here" in " ".join(failed.stderr.split())) == (1, True)
        stand.state = State(new / "state")
        stand.server = stand.new_server()
        assert stand.redis("GET", "session") == "open"
        stand.redis("SET", "session", "of a visitor since")
        corrected = stand.directory / "app/havre.yaml"
        corrected.write_text(corrected.read_text(encoding="utf-8") + "# corrected\n", encoding="utf-8")

        (tmp_path / "away").rename(stream)
        told = run_havre(new, *recover, "--yes", "--json")
        assert [one["snapshot"]["service"] for one in json.loads(told.stdout)["restored"]] == ["db"]
        assert stand.sql("SELECT count(*) FROM letters") == "4321"
        assert stand.redis("GET", "session") == "of a visitor since"
        assert "# corrected" in corrected.read_text(encoding="utf-8")
        assert (new / "state/server.yaml").read_text(encoding="utf-8") == "reserve: 1\n"
        again = run_havre(new, *recover, "--yes", check=False)
        assert (again.returncode, "is known on this server already" in " ".join(again.stderr.split())) == (3, True)
    finally:
        end_helpers(new / "state")
        stand.tear_down()
