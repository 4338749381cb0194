"""A repository on another machine, reached by SFTP through a real OpenSSH server; and one beside it on this disk."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from data_stand import Stand
from ssh_server import Ssh

from havre.backups.book import read_records
from havre.errors import HavreError
from havre.model.backup import BackupPolicy
from havre.workflows.backup import back_up
from havre.workflows.restore import restore

pytestmark = [pytest.mark.docker, pytest.mark.slow]


def test_snapshots_go_to_another_machine_and_come_back(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, second = Ssh(tmp_path / "ssh"), f"age:{tmp_path / 'second'}"
    monkeypatch.setenv("PATH", f"{server.programs}:{os.environ['PATH']}")
    policy = BackupPolicy(service="cache", to=(server.url, second))
    intent = replace(stand.intent, app=replace(stand.intent.app, backups=(policy,)))
    storage = replace(stand.storage, patience=20.0)
    server.start()
    try:
        stand.redis("MSET", "a", "1", "b", "2")
        [taken] = back_up(storage, intent, ["cache"])
        assert [one.id for one in read_records(storage.repository(server.url))] == [taken.id]
        assert [one.id for one in read_records(storage.repository(second))] == [taken.id]
        stand.redis("FLUSHALL")
        restore(storage, intent, "cache", taken.id)
        assert stand.redis("DBSIZE") == "2"
    finally:
        server.stop()
    with pytest.raises(HavreError, match=r"is not in sftp://root@127\.0\.0\.1.*: could not .*") as failed:
        back_up(storage, intent, ["cache"])
    assert "the storage does not answer" in str(failed.value)
    _, copied = read_records(storage.repository(second))
    assert copied.id == taken.id
    stand.storage.book.write(copied)
    stand.redis("FLUSHALL")
    restore(storage, intent, "cache", taken.id)
    assert stand.redis("DBSIZE") == "2"
