"""`havre secrets`: what a newcomer types first, before any variable has a value."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from havre.cli.main import cli

COMPOSE = """
services:
  db:
    image: postgres:15-alpine
    environment:
      POSTGRES_PASSWORD: "${POSTGRES_PASSWORD:?set it}"
      POSTGRES_DB: "${POSTGRES_DB:?name it}"
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "havre.yaml").write_text("app: first\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAVRE_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("POSTGRES_PASSWORD", raising=False)
    return tmp_path


@pytest.mark.usefixtures("app")
def test_secrets_that_the_files_require_are_generated_though_nothing_has_a_value_yet() -> None:
    done = CliRunner().invoke(cli, ["secrets", "generate"])
    assert (done.exit_code, done.output) == (0, "generated POSTGRES_PASSWORD\n"), done.exception


@pytest.mark.usefixtures("app")
def test_what_is_generated_once_is_not_generated_again() -> None:
    CliRunner().invoke(cli, ["secrets", "generate"])
    done = CliRunner().invoke(cli, ["secrets", "generate"])
    assert done.output == "nothing to generate: every secret has a value\n"
