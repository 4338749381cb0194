"""When scheduled things are due."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from havre.host.schedule import longest_gap, next_time, period

FRIDAY = datetime(2026, 11, 27, 12, 30, tzinfo=UTC).astimezone()


def due(schedule: str) -> str:
    return datetime.fromtimestamp(next_time(schedule, FRIDAY.timestamp()), UTC).astimezone().strftime("%m-%d %H:%M")


@pytest.mark.parametrize(
    ("schedule", "minutes_or_days"),
    [("*/15 * * * *", 900.0), ("0 2 * * *", 86400.0), ("weekly", 7 * 86400.0)],
)
def test_a_period_is_the_time_between_two_moments(schedule: str, minutes_or_days: float) -> None:
    assert period(schedule, FRIDAY.timestamp()) == minutes_or_days


def test_the_next_moment_is_after_now() -> None:
    assert due("0 0 1 1 *").startswith("01-01")
    assert due("monthly") == "12-01 04:30"
    assert next_time("* * * * *", FRIDAY.timestamp()) == FRIDAY.timestamp() + 60


@pytest.mark.parametrize(
    ("schedule", "hours"),
    [
        ("*/15 * * * *", 0.25),
        ("0 2 * * *", 24),
        ("0 2 * * 1-5", 72),
        ("daily", 24),
        ("monthly", 31 * 24),
        ("0 2 29 2 *", 35064),
    ],
)
def test_the_longest_gap_is_what_a_schedule_leaves_at_most(schedule: str, hours: float) -> None:
    assert longest_gap(schedule, FRIDAY.timestamp()) == hours * 3600
