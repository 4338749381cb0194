"""What is kept of an app's data: which service, when, where and for how long, and what is known of each snapshot."""

from __future__ import annotations

import enum
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
class PitrPolicy:
    """How a PostgreSQL server's write-ahead log is kept; times in seconds, `limit` in bytes."""

    ship: float = 300.0
    base: float = 86400.0
    keep: float = 7 * 86400.0
    limit: int = 4 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupPolicy:
    """One entry of the manifest's `backups`; `schedule` is a cron expression, `kind` None means: by the image."""

    service: str
    schedule: str | None = None
    kind: str | None = None
    """`postgres`, `mysql`, `redis`, `volume` or `command`."""
    keep: Retention = Retention()
    to: tuple[str, ...] = ()
    """Destinations (restic repositories); empty means the server's default."""
    databases: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    directory: str | None = None
    """What `command` writes there is stored in place of its output."""
    restore_command: tuple[str, ...] | None = None
    drill: str | None = None
    """How often a restore is proven: `weekly`, `monthly` or a cron expression."""
    assertions: tuple[str, ...] = ()
    pitr: PitrPolicy | None = None
    rpo: float | None = None
    rto: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """How a command ended whose output was streamed; `complaints` is the end of what it wrote to stderr."""

    exit_code: int
    complaints: str = ""


class Verdict(enum.Enum):
    """What a snapshot is worth: only GOOD ones count for retention, safeguards and restores by default."""

    GOOD = "good"
    SUSPICIOUS = "suspicious"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One stored stream of a snapshot: a database, an RDB file, a directory, a command's output.

    `counts` is what was counted while it was stored: rows by table, keys, or files; `size` is in bytes.
    `restic` is the id of the repository's snapshot that holds it, `file` its name there.
    """

    name: str
    file: str
    size: int = 0
    counts: tuple[tuple[str, int], ...] = ()
    restic: str = ""
    target: str = ""
    """Directories: where they lie in the replica."""
    recipe: tuple[str, ...] = ()
    """Databases: the statements that make one like it, for when it is gone."""

    @property
    def total(self) -> int:
        """Everything counted: rows, keys or files."""
        return sum(count for _, count in self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One backup of one service: what was stored, how it was verified and what it is worth.

    Times are seconds since the epoch. `globals_sql` holds a server's roles or accounts.
    """

    id: str
    instance: str
    service: str
    kind: str
    started_at: float
    ended_at: float = 0.0
    verdict: Verdict = Verdict.FAILED
    reasons: tuple[str, ...] = ()
    """Why it is suspicious or failed."""
    checks: tuple[str, ...] = ()
    """What was verified."""
    parts: tuple[Part, ...] = ()
    repository: str = ""
    image: str = ""
    purpose: str = "backup"
    """`backup`, `safeguard` (before a migration) or `before-restore`."""
    globals_sql: str = ""
    version: str = ""
    added: int = 0
    """Bytes by which the repository grew."""
    copies: tuple[str, ...] = ()
    """Other destinations that have it too."""

    @property
    def places(self) -> tuple[str, ...]:
        """Every destination that has it; none for a failed one."""
        return (self.repository, *self.copies) if self.parts else ()

    @property
    def is_good(self) -> bool:
        """True when it may be counted on."""
        return self.verdict is Verdict.GOOD

    @property
    def size(self) -> int:
        """Bytes before compression and deduplication."""
        return sum(part.size for part in self.parts)

    def part(self, name: str) -> Part | None:
        """The part with that name."""
        return next((part for part in self.parts if part.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillReport:
    """The proof, or the failure, of one restore into a throw-away replica; `rto` is seconds from start to answers.

    `snapshot` is what was restored: a snapshot, or with `from_log` a base backup that its log was replayed on.
    """

    instance: str
    service: str
    snapshot: str
    at: float
    passed: bool
    rto: float = 0.0
    rpo: float = 0.0
    """Age of what was restored when the drill began, in seconds."""
    lines: tuple[str, ...] = ()
    from_log: bool = False
