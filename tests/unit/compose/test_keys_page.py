"""The reference page says what the tables say."""

from __future__ import annotations

from pathlib import Path

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
