"""The whole server is lost: the repository in S3 and the key bring the app, its secrets and its data back."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from command import run_havre
from data_stand import Stand
from data_tools import restic
from ending import end_helpers
from s3_server import CREDENTIALS, S3

from havre.backups.vault import escrow_text
from havre.errors import RefusedError
from havre.store.state import State
from havre.workflows.backup import back_up
from havre.workflows.recover_server import fetch, keep_configuration

pytestmark = [pytest.mark.docker, pytest.mark.slow]


def test_everything_comes_back_from_repository_and_key_alone(tmp_path: Path) -> None:
    s3 = S3(tmp_path / "s3")
    s3.start()
    manifest = f'backups:\n  db: {{to: ["{s3.url}"]}}\n  cache: {{to: ["{s3.url}"]}}\n'
    stand = Stand(tmp_path / "server", manifest=manifest, variables=CREDENTIALS)
    try:
        stand.deploy()
        stand.sql("CREATE TABLE letters AS SELECT g AS id FROM generate_series(1, 4321) g")
        stand.redis("SET", "session", "open")
        back_up(stand.storage, stand.intent)
        keep_configuration(stand.storage, stand.intent, "havre.yaml")
        paper = escrow_text(stand.storage.vault.password(), (s3.url,), "test")
        with pytest.raises(RefusedError, match="is known on this server already"):
            fetch(stand.storage.repository(s3.url), stand.state, None)
        stand.tear_down()
        shutil.rmtree(stand.directory)

        (tmp_path / "paper.txt").write_text(paper)
        options = ("--repository", s3.url, "--key-file", str(tmp_path / "paper.txt"), "--yes", "--engine", "docker")
        new = tmp_path / "new-server"
        new.mkdir()
        told = run_havre(new, "recover-server", *options, variables={**CREDENTIALS, "HAVRE_RESTIC": str(restic())})
        print(told.stdout)
        assert re.search(rf"{stand.name} is back after .+ \(RTO\)", " ".join(told.stdout.split()))
        stand.state = State(new / "state")
        assert any(stand.state.keys.iterdir())
        stand.server = stand.new_server()
        assert stand.sql("SELECT count(*) FROM letters") == "4321"
        assert stand.redis("GET", "session") == "open"
        assert "__before_" not in stand.sql("SELECT string_agg(datname, ' ') FROM pg_database")
    finally:
        end_helpers(tmp_path / "new-server/state")
        stand.tear_down()
        s3.kill()


def test_a_second_destination_is_a_whole_repository(tmp_path: Path) -> None:
    first, second = str(tmp_path / "one"), str(tmp_path / "two")
    stand = Stand(tmp_path / "server", manifest=f'backups:\n  cache: {{to: ["{first}", "{second}"]}}\n')
    try:
        stand.deploy()
        stand.redis("MSET", "a", "1", "b", "2")
        [taken] = back_up(stand.storage, stand.intent, ["cache"])
        shutil.rmtree(first)
        from havre.backups.book import read_records
        from havre.workflows.restore import restore

        [record] = read_records(stand.storage.repository(second))
        assert (record.id, record.repository) == (taken.id, second)
        stand.storage.book.write(replace(record))
        stand.redis("FLUSHALL")
        restore(stand.storage, stand.intent, "cache", taken.id)
        assert stand.redis("DBSIZE") == "2"
    finally:
        stand.tear_down()
