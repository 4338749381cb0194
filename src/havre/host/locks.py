"""One release at a time: an OS lock that dies with its holder (I4), and says who holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from havre.errors import BusyError, Problem
from havre.host import clock

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.1
"""Seconds between two tries: most locks are held for an instant, some for a whole release."""


@contextmanager
def exclusive(path: Path, *, what: str, doing: str, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock on `path` for the block.

    `what` names the thing (`the instance lexikon`), `doing` what the holder does (`deploy, release 12`).
    Waits up to `wait` seconds; raises BusyError that names the holder's pid, user, work and start.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(handle, what, wait)
        os.ftruncate(handle, 0)
        with suppress(OSError):  # a full disk: the lock holds all the same, only its note is missing
            os.pwrite(handle, f"pid {os.getpid()}, {doing}, since {clock.show_time(clock.now())}".encode(), 0)
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def is_held(path: Path) -> bool:
    """True while some living process holds the lock."""
    if not path.exists():
        return False
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _acquire(handle: int, what: str, wait: float) -> None:
    deadline = clock.elapsed() + wait
    pause = _FIRST_PAUSE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock.elapsed() >= deadline:
                raise BusyError(_busy(what, os.pread(handle, 300, 0).decode(errors="replace"))) from None
            clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        else:
            return


def _busy(what: str, holder: str) -> Problem:
    return Problem(
        summary=f"{what} is busy: another havre command is at work on it",
        evidence=(holder,) if holder else (),
        hint="wait for it to end, or give `--wait SECONDS`; nothing was changed by this command",
        code="instance-busy",
    )
