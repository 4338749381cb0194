"""What keeps a database from being prepared wrongly; the real server is in the integration tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from havre.engines.process.entry import postgres
from havre.engines.process.entry.postgres import StartError

HERE = {"HOST": "127.64.0.17", "PORT": "5432", "HAVRE_RUN": "/havre/run", "HAVRE_BIN": "/nonexistent"}


def test_where_it_listens_comes_last_so_that_it_wins() -> None:
    argv = postgres.server_command(Path("/data"), HERE, ["-c", "listen_addresses=*", "-c", "max_connections=9"])
    assert argv[:3] == ["postgres", "-D", "/data"]
    assert argv[-3:] == ["--listen_addresses=127.64.0.17", "--port=5432", "--unix_socket_directories=/havre/run"]


def test_a_secret_comes_from_the_variable_or_its_file(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("s3cret\n")
    assert postgres.secret({"POSTGRES_PASSWORD": "x"}, "POSTGRES_PASSWORD") == "x"
    assert postgres.secret({"POSTGRES_PASSWORD_FILE": str(tmp_path / "pw")}, "POSTGRES_PASSWORD") == "s3cret"
    assert postgres.secret({}, "POSTGRES_USER", "postgres") == "postgres"
    both = {"POSTGRES_PASSWORD": "x", "POSTGRES_PASSWORD_FILE": str(tmp_path / "pw")}
    with pytest.raises(StartError, match="both POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE"):
        postgres.secret(both, "POSTGRES_PASSWORD")


def test_nobody_is_let_in_without_a_password(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="lets nobody in without one"):
        postgres.prepare(tmp_path / "data", {**HERE, "POSTGRES_HOST_AUTH_METHOD": "trust"})


def test_somebody_elses_files_are_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("x")
    with pytest.raises(StartError, match="neither empty nor a database"):
        postgres.prepare(tmp_path, HERE)
    assert (tmp_path / "letter.txt").exists()


def test_a_first_start_that_was_cut_short_begins_anew(tmp_path: Path) -> None:
    (tmp_path / postgres.UNFINISHED).mkdir()
    (tmp_path / "base").mkdir()
    with pytest.raises(StartError, match="POSTGRES_PASSWORD"):
        postgres.prepare(tmp_path, HERE)
    assert list(tmp_path.iterdir()) == []
