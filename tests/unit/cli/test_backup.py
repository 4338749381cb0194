"""`havre backup` and `havre restore` say what they did not do, and refuse options that are at odds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from havre.cli.main import cli

COMPOSE = "services: {db: {image: 'postgres:16', environment: {POSTGRES_PASSWORD: x9}}}\n"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "compose.yaml").write_text(COMPOSE, encoding="utf-8")
    (tmp_path / "havre.yaml").write_text("app: shop\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def havre(directory: Path, *words: str) -> Result:
    options = ("--engine", "process", "--state", str(directory / "state"))
    return CliRunner().invoke(cli, [*words, *options], env={**os.environ, "COLUMNS": "200"})


def test_a_key_that_nobody_could_confirm_does_not_count_as_kept(shop: Path) -> None:
    printed = havre(shop, "backup", "export-key")
    assert printed.exit_code != 0, "nobody answered"
    assert "key: havre-" in printed.output
    kept = shop / "key.txt"
    assert havre(shop, "backup", "export-key", "--to", str(kept)).exit_code == 0
    assert kept.stat().st_mode & 0o777 == 0o600
    assert havre(shop, "backup", "export-key").exit_code == 0, "it was confirmed before"


def test_no_directory_is_made_where_a_disk_for_the_key_is_not_mounted(shop: Path) -> None:
    refused = havre(shop, "backup", "export-key", "--to", str(shop / "usb/key.txt"))
    assert refused.exit_code != 0
    assert not (shop / "usb").exists()
    assert havre(shop, "backup", "export-key").exit_code != 0, "and it does not count as kept"


def test_options_that_contradict_each_other_are_refused(shop: Path) -> None:
    for words, told in (
        (("--drop-kept", "--to", "x"), "leave out --to"),
        (("--drop-kept", "--at", "latest", "--only", "shop"), "leave out --at, --only"),
        (("db-1", "--drop-kept", "--doubtful"), "leave out SNAPSHOT, --doubtful"),
        (("--at", "latest", "--doubtful"), "--doubtful is for snapshots"),
    ):
        refused = havre(shop, "restore", "db", *words)
        assert (refused.exit_code, told in refused.output) == (2, True), refused.output


def test_a_slip_in_a_services_name_is_not_taken_for_one_without_snapshots(shop: Path) -> None:
    assert "no snapshot yet" in havre(shop, "backup", "list", "db").output
    slip = havre(shop, "backup", "list", "dbb")
    assert slip.exit_code != 0
    assert "did you mean `db`?" in str(slip.exception)
