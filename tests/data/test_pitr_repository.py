"""The repositories of a kept log: what lies in them, what goes, and what happens when one is full or away."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from data_stand import Stand
from data_tools import restic
from pitr_stand import archive_of, keep, problems
from small_disk import small_disk

from havre.backups.restic import Restic
from havre.backups.wal_book import BASE_TAR_TAG, base_tags
from havre.errors import FailedError
from havre.store.state import State
from havre.workflows.receiver import end_receivers
from havre.workflows.recover_server import fetch, keep_configuration, revive
from havre.workflows.wal import keep_wal

pytestmark = pytest.mark.docker


def test_a_base_backup_that_cannot_fit_is_refused_before_it_begins(make: Callable[..., Stand], tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "16m") as disk:
        stand = make(manifest=f"backups:\n  db: {{to: [{disk / 'repo'}], pitr: true}}\n")
        stand.sql("CREATE TABLE big AS SELECT g AS id, repeat(md5(g::text), 40) AS t FROM generate_series(1, 60000) g")
        with pytest.raises(FailedError, match=r"not enough room to back up: [0-9.]+ MiB needed, [0-9.]+ MiB free"):
            keep(stand)
        assert archive_of(stand).bases == ()
        assert "not enough room" in problems(stand)
        stored = {tag for one in stand.storage.repository(str(disk / "repo")).snapshots() for tag in one.tags}
        assert BASE_TAR_TAG not in stored


def leave_half_a_base(stand: Stand) -> None:
    """As a base backup does that was killed two days ago, between its files and its record."""
    tags = [*base_tags(stand.name, "db", "db-base-killed"), BASE_TAR_TAG]
    options = ["--stdin", "--stdin-filename=base.tar", "--time=2026-01-01 00:00:00", *(f"--tag={tag}" for tag in tags)]
    subprocess.run(
        [str(restic()), "-r", stand.storage.default_url, "backup", "-q", *options], input=b"half", check=True,
        env={**stand.variables, "RESTIC_PASSWORD": stand.storage.vault.password(), "HOME": str(stand.directory)},
    )  # fmt: skip


def test_old_bases_go_with_their_log_and_never_the_last(make: Callable[..., Stand]) -> None:
    stand = make(manifest="backups:\n  db: {pitr: {keep: 1s}}\n")
    keep(stand)
    time.sleep(1.2)
    stand.sql("SELECT pg_switch_wal()")
    archive = keep_wal(stand.storage, stand.intent, base=True)[0][1]
    leave_half_a_base(stand)
    time.sleep(1.2)
    archive = keep_wal(stand.storage, stand.intent, base=True)[0][1]
    assert len(archive.bases) <= 2
    repository = stand.storage.repository(stand.storage.default_url)
    stored = {tag for listed in repository.snapshots() for tag in listed.tags if tag.startswith("backup=")}
    known = {*(base.id for base in archive.bases), *(shipment.id for shipment in archive.shipments)}
    assert stored == {f"backup={name}" for name in known}


def test_a_lost_server_comes_back_to_its_last_shipment(make: Callable[..., Stand], tmp_path: Path) -> None:
    repository = str(tmp_path / "elsewhere")
    stand = make(manifest=f"backups:\n  db: {{to: [{repository}], pitr: true}}\n")
    stand.sql("CREATE TABLE letters AS SELECT g AS id FROM generate_series(1, 100) g")
    keep(stand)
    keep_configuration(stand.storage, stand.intent, "havre.yaml")
    stand.sql("INSERT INTO letters SELECT g FROM generate_series(101, 150) g")
    keep(stand)
    key = stand.storage.vault.password()
    end_receivers(stand.server, stand.name)
    stand.tear_down()
    shutil.rmtree(stand.directory)

    state = State(tmp_path / "new-server/state")
    opened = Restic(repository, key, program=str(restic()), cache=state.backups / "cache")
    record = fetch(opened, state, None)
    stand.state = state
    stand.server = stand.new_server()
    stand.storage.vault.adopt(key)
    revived = revive(stand.storage, stand.read(), record, repository, started=time.monotonic())
    assert stand.sql("SELECT count(*) FROM letters") == "150"
    assert "and its log" in revived.restored[0].source
    assert problems(stand) == ""


def test_a_destination_that_is_away_stops_no_log_and_gets_it_later(make: Callable[..., Stand], tmp_path: Path) -> None:
    here, away = tmp_path / "here", tmp_path / "mount/away"
    stand = make(manifest=f"backups:\n  db: {{to: ['{here}', '{away}'], pitr: true}}\n")
    keep(stand)
    away.parent.rename(tmp_path / "unplugged")
    stand.sql("CREATE TABLE letters AS SELECT g AS id FROM generate_series(1, 100) g")
    with pytest.raises(FailedError, match=r"there is no repository at .*away"):
        keep_wal(stand.storage, stand.intent, base=True)
    archive = archive_of(stand)
    assert len(archive.bases) == 2
    assert "its log: there is no repository" in problems(stand)
    with pytest.raises(FailedError, match=r"there is no repository at .*away"):
        keep(stand)
    assert archive_of(stand).bases == archive.bases, "what is stored in one destination is not taken again"
    (tmp_path / "unplugged").rename(away.parent)
    archive = keep(stand)
    assert problems(stand) == ""
    for url in (here, away):
        stored = {tag for one in stand.storage.repository(str(url)).snapshots() for tag in one.tags}
        known = [*(base.id for base in archive.bases), *(shipment.id for shipment in archive.shipments)]
        assert {f"backup={name}" for name in known} <= stored
