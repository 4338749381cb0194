"""When something scheduled is due: cron expressions and words for intervals, as moments in the server's time zone."""

from __future__ import annotations

from datetime import UTC, datetime

from cronsim import CronSim

INTERVALS = {"daily": "30 4 * * *", "weekly": "30 4 * * 0", "monthly": "30 4 1 * *"}
"""What the words of the manifest mean as cron expressions."""


def next_time(schedule: str, after: float) -> float:
    """The first moment after `after` (seconds since the epoch) that a cron expression or a word names, local time."""
    start = datetime.fromtimestamp(after, UTC).astimezone()
    return next(CronSim(INTERVALS.get(schedule, schedule), start)).timestamp()


def period(schedule: str, after: float) -> float:
    """The seconds between the next two moments of a schedule."""
    first = next_time(schedule, after)
    return next_time(schedule, first) - first
