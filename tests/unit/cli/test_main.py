"""The command line as a whole: help, unknown names, and start-up that imports nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from havre.cli.main import COMMANDS, cli


def test_every_command_has_help_with_an_example_and_its_line_in_the_table() -> None:
    for name in COMMANDS:
        result = CliRunner().invoke(cli, [name, "--help"])
        assert result.exit_code == 0, f"{name}: {result.output}"
        assert "Usage: cli" in result.output
        assert "Example" in result.output, name


def test_help_is_whole_at_80_columns() -> None:
    result = CliRunner().invoke(cli, ["--help"], terminal_width=80)
    assert all(len(line) <= 80 for line in result.output.splitlines())
    for name in COMMANDS:
        assert f"  {name}" in result.output
    assert "Exit codes:" in result.output


def test_a_typo_gets_the_nearest_command() -> None:
    result = CliRunner().invoke(cli, ["deplo"])
    assert result.exit_code == 2
    assert "did you mean `havre deploy`?" in result.output


@pytest.mark.parametrize("heavy", ["yaml", "sqlite3", "http.client", "acme", "cryptography", "pyrage"])
def test_help_imports_nothing_heavy(heavy: str) -> None:
    code = f"import sys, havre.cli.main; sys.exit({heavy!r} in sys.modules)"
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    assert subprocess.run([sys.executable, "-c", code], env=unmeasured, check=False).returncode == 0
