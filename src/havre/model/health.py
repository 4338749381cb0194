"""What a health check is, and what a probe of it told us."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """A Compose `healthcheck`; times in seconds. `test` is argv; `shell` means it is one shell line.

    Havre runs it itself as soon as the replica is up and then often; `interval` only bounds how long
    a replica may take: `start_period + retries * max(interval, timeout)` (Docker's own give-up time).
    """

    test: tuple[str, ...]
    shell: bool = False
    interval: float = 30.0
    timeout: float = 30.0
    start_period: float = 0.0
    start_interval: float | None = None
    retries: int = 3

    @property
    def patience(self) -> float:
        """Seconds after which Docker itself would have called the replica unhealthy."""
        return self.start_period + self.retries * (self.interval + self.timeout)


class HealthState(enum.Enum):
    """`UNVERIFIED` is a probe that passed although its own output says that it did not ask (D14)."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNVERIFIED = "unverified"
    STARTING = "starting"
    NONE = "no health check"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One run of a probe: what was asked, how it ended and its last output."""

    state: HealthState
    asked: str
    output: str = ""
    exit_code: int | None = None
