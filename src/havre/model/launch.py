"""What the production checklist looks at beyond checks and diagnosis: answers of the live server.

None, or an empty tuple together with a name in `Scene.unseen`, means that nobody could look.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What a visitor of `host` is offered when TLS begins; `error` when nothing answered.

    `trusted` is what this system's own trust store says of chain and name, `distrust` why not; `versions` are the
    protocol versions accepted, `weak` the outdated cipher suites accepted.
    """

    host: str
    place: str = ""
    names: tuple[str, ...] = ()
    issuer: str = ""
    days_left: float = 0.0
    trusted: bool = False
    distrust: str = ""
    key: str = ""
    """`EC 256`, `RSA 2048`."""
    signature: str = ""
    versions: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    fingerprint: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAnswer:
    """What came back for one request as a visitor; header names are in lower case."""

    host: str
    path: str
    tls: bool
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    error: str = ""

    def header(self, name: str) -> str:
        """The value of a header; empty when it is not there."""
        return dict(self.headers).get(name, "")

    @property
    def url(self) -> str:
        """As one would type it."""
        return f"{'https' if self.tls else 'http'}://{self.host}{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """Requests sent as fast as they are answered, to see the limit: `refused_at` is the first that got 429."""

    route: str
    limit: str
    sent: int = 0
    refused_at: int | None = None
    skipped: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Firewall:
    """What the kernel lets in: `is_active` when what no rule lets in is refused; None where this user may not look."""

    is_active: bool | None = None
    by: str = ""
    opens: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Automation:
    """Something this server does by itself: a cron line or a systemd unit.

    `schedule` is its cron expression or calendar, `boot` when it runs after a reboot; `runs` is False when it is
    there and nothing will start it.
    """

    place: str
    schedule: str
    command: str
    runs: bool = True

    def brings_back(self, state: str = "") -> bool:
        """True when it brings apps back after a reboot: those in the directory `state`, where it names one."""
        at_boot = self.runs and self.schedule in ("boot", "@reboot")
        command = re.sub("[\"']", "", self.command)
        named = re.search(r"--state[ =](\S+)", command)
        is_ours = named is None or not state or named[1] == state
        return at_boot and is_ours and bool(re.search(r"\bhavre\b.*\b(?:boot|edge|serve)\b", command))


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup:
    """What starts by itself: `init` is `systemd` or what else runs as process 1; None where it cannot be told."""

    init: str = ""
    docker_enabled: bool | None = None
    updates: str = ""
    """What installs security updates by itself; empty where nothing does."""
    updated: float | None = None
    """When that last did so, in seconds since the epoch; None where it leaves no trace."""
    awaits_reboot: bool = False
    """An installed update counts only after a reboot."""
    intrusion: str = ""
    """What watches for break-in attempts; empty where nothing known runs."""
    attempts: int | None = None
    """Logins to this machine that failed within a day; None where this user may not look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operators:
    """Who may use the engine (the members of its socket's `group`), and who may become root, by the book of groups."""

    socket: str = ""
    group: str = ""
    users: tuple[str, ...] = ()
    admins: tuple[str, ...] = ()
    is_open_to_all: bool = False
    """Whoever has an account here may use the engine, and so become root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedPolicy:
    """How one running replica is kept, as the engine applied it: its log's bounds and what restarts it."""

    service: str
    slot: int
    log_driver: str
    log_size: str = ""
    log_files: str = ""
    restart: str = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What was found of accelerator libraries in a running replica; None where its files cannot be listed."""

    service: str
    frameworks: tuple[str, ...] | None = None
    accelerators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """What a PostgreSQL says of its own security; `error` when it would not be asked."""

    service: str
    tables: tuple[tuple[str, bool], ...] = ()
    """(schema.table of schema public, whether row level security is on)."""
    ssl: bool = False
    users: tuple[tuple[str, bool], ...] = ()
    """(role that clients are connected as now, whether it is a superuser)."""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How the data of one service is kept: its newest verified snapshot and its last drill; times since the epoch."""

    service: str
    schedule: str | None = None
    drill_schedule: str | None = None
    newest: str = ""
    age: float | None = None
    checks: tuple[str, ...] = ()
    drill_at: float | None = None
    drill_passed: bool = False
    drill_took: float = 0.0
    problems: tuple[str, ...] = ()
    repository: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """The release one would go back to, and what is missing for it."""

    number: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """The audit log: how many lines there are of this instance and when the newest was written."""

    lines: int = 0
    newest: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """Something that watches: where it answers, and whether it did just now."""

    name: str
    place: str
    answers: bool
    detail: str = ""


ANYBODY = "anybody, without a password"
"""The `way` of a login that needs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One attempt to log in to a service as everybody would try: `way` says how, without any password.

    `is_open` is True where it worked, None where nobody could ask, and `error` says why.
    """

    service: str
    way: str
    is_open: bool | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """Another environment of the same app on this server, and the variables whose secrets it shares with this one."""

    instance: str
    shared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A place that the manifest's `support` names: `problem` says why it cannot be found, empty when it can."""

    key: str
    place: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What a person said of an item, and until when (ISO date) it counts."""

    item: str
    at: float
    by: str
    note: str
    until: str
