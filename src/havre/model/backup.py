"""What is kept of an app's data: which service, when, where and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How many snapshots of each age are kept; `minimum` good ones stay whatever their age."""

    last: int = 0
    daily: int = 7
    weekly: int = 0
    monthly: int = 0
    minimum: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupPolicy:
    """One entry of the manifest's `backups`; `schedule` is a cron expression, `kind` None means: by the image."""

    service: str
    schedule: str | None = None
    kind: str | None = None
    """`postgres`, `redis`, `volume` or `command`."""
    keep: Retention = Retention()
    to: tuple[str, ...] = ()
    """Destinations (restic repositories); empty means the server's default."""
    databases: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    restore_command: tuple[str, ...] | None = None
    drill: str | None = None
    """How often a restore is proven: `weekly`, `monthly` or a cron expression."""
    assertions: tuple[str, ...] = ()
    pitr: bool = False
    rpo: float | None = None
    rto: float | None = None
