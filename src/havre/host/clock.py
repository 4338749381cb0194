"""The time, in one place, so that tests can set it."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> float:
    """Seconds since the epoch."""
    return time.time()


def elapsed() -> float:
    """Seconds on a clock that never jumps; only differences mean something."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


def show_time(at: float) -> str:
    """`2026-11-20 22:05:13` in the server's own time zone."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def parse_time(text: str) -> float | None:
    """An ISO date and time (the server's own zone where none is given) as seconds since the epoch, or None."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def stamp(at: float) -> str:
    """`20261120-220513`: a time in UTC as part of a name."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%d-%H%M%S")
