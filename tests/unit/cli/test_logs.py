"""Log lines: the level they state, whatever way they state it, and the times a person may write."""

from __future__ import annotations

import pytest

from havre.cli.logs import moment
from havre.errors import InputError
from havre.model.log_level import level_of


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ('{"timestamp": "x", "level": "ERROR", "message": "no"}', "error"),
        ('{"severity": "warn"}', "warning"),
        ('{"lvl": "fatal"}', "critical"),
        ('{"message": "no level at all"}', None),
        ("2026-01-01 10:00:00 - app - WARNING - slow", "warning"),
        ("[ERR] broken", "error"),
        ("{broken json ERROR", "error"),
        ("the word errors is no level", None),
        ("", None),
    ],
)
def test_the_level_is_read_from_json_and_from_plain_text(line: str, level: str | None) -> None:
    assert level_of(line) == level


def test_a_moment_is_an_age_or_a_date() -> None:
    assert moment("10m", 1000.0) == 400.0
    assert moment("1970-01-02T00:00:00+00:00", 0.0) == 86400.0
    with pytest.raises(InputError, match="not a time"):
        moment("yesterday", 0.0)
