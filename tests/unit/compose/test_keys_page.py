"""The reference page says what the tables say."""

from __future__ import annotations

import runpy
import warnings
from pathlib import Path

import pytest

from havre.compose.keys import KEYS
from havre.compose.keys_page import support_page

PAGE = Path(__file__).parents[3] / "docs/reference/compose-support.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == support_page(), (
        "run: python -m havre.compose.keys_page > docs/reference/compose-support.md"
    )


def test_every_key_has_a_line_with_three_columns() -> None:
    lines = [line for line in support_page().splitlines() if line.startswith("| `")]
    assert len(lines) == len(KEYS)
    assert {line.count(" | ") for line in lines} == {2}


def test_the_module_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # runpy minds that the module is imported already
        runpy.run_module("havre.compose.keys_page", run_name="__main__")
    assert capsys.readouterr().out == support_page()
