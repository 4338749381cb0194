"""When something scheduled is due: cron expressions and words for intervals, as moments in the server's time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

from cronsim import CronSim

_YEAR = 366 * 86400.0
_MOMENTS = 2000
"""A schedule that comes round more often than this within a year is seen whole in fewer days."""
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


def longest_gap(schedule: str, after: float) -> float:
    """The most seconds between two moments of a schedule within a year; an hour that clocks skip does not count."""
    moments = CronSim(INTERVALS.get(schedule, schedule), datetime.fromtimestamp(after, UTC))
    longest, last = 0.0, next(moments).timestamp()
    for moment in islice(moments, _MOMENTS):
        longest, last = max(longest, moment.timestamp() - last), moment.timestamp()
        if last > after + _YEAR:
            break
    return longest
