"""The health check of a running replica, again and again, as its Compose file says; only seen, nothing is restarted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from havre.engines.process.child import LaunchError
from havre.engines.process.records import CHECKED, Launch, Status

FIRST_CHECK = 3.0
"""Seconds after its start at which a replica is asked first."""


class Inside(Protocol):
    """Runs commands in the replica, and wakes us."""

    def run_inside(self, argv: Sequence[str], output: int, done: Callable[[int], None], *, timeout: float) -> None:
        """Start `argv` in the replica's world; `done` gets its exit code. Raises LaunchError."""
        ...

    def later(self, seconds: float, due: Callable[[], None]) -> None:
        """Call `due` once after that time."""
        ...


class HealthWatch:
    """Begins with a replica's start; ends by itself when the replica's start is no longer the one it began with."""

    def __init__(
        self, launch: Launch, status: Status, directory: str, inside: Inside, save: Callable[[], None]
    ) -> None:
        self._launch = launch
        self._status = status
        self._path = f"{directory}/{CHECKED}"
        self._inside = inside
        self._save = save
        self._start = status.started_at
        self._failures = 0

    def begin(self) -> None:
        """The first checks come soon after each other, those after the first pass once in every interval."""
        if self._launch.health:
            self._inside.later(min(FIRST_CHECK, self._launch.health_interval), self._check)

    def _check(self) -> None:
        if self._status.state != "running" or self._status.started_at != self._start:
            return
        output = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            self._inside.run_inside(self._launch.health, output, self._verdict, timeout=self._launch.health_timeout)
        except LaunchError as error:
            os.write(output, str(error).encode())
            self._verdict(127)
        finally:
            os.close(output)

    def _verdict(self, code: int) -> None:
        if self._status.started_at != self._start:
            return
        soon = self._may_still_be_starting()
        self._failures = 0 if code == 0 or soon else self._failures + 1
        if code == 0:
            self._change("passed")
        elif self._failures >= self._launch.health_retries:
            self._change("failed")
        pause = self._launch.health_interval
        self._inside.later(min(FIRST_CHECK, pause) if soon and code else pause, self._check)

    def _may_still_be_starting(self) -> bool:
        """Until its first pass, for as long as Compose allows it to start."""
        patience = max(self._launch.health_start, self._launch.health_interval)
        return not self._status.health and time.time() - self._start < patience

    def _change(self, health: str) -> None:
        if self._status.health != health:
            self._status.health = health
            self._save()
