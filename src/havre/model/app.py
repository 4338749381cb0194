"""What the manifest says beyond Compose: where it is reached, how it is released, kept and watched."""

from __future__ import annotations

from dataclasses import dataclass, field

from havre.errors import Location
from havre.model.backup import BackupPolicy
from havre.model.route import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """`release.migrate`: run in a one-off of `service`'s new image before any new replica starts."""

    service: str
    run: tuple[str, ...]
    undo: tuple[str, ...] | None = None
    head: tuple[str, ...] | None = None
    """Prints the current revision; recorded in the release."""
    timeout: float = 600.0
    safeguard: bool = True
    safeguard_services: tuple[str, ...] = ()
    safeguard_limit: int | None = None
    """Bytes: a service that holds more than this is not snapshot before a migration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """`release.verify`: one request that must be answered as said, at the new replicas and through the edge.

    `json` holds (dotted key, canonical JSON value) that the body must contain; `contains` a text.
    """

    method: str = "GET"
    path: str = "/"
    host: str | None = None
    body: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200
    json: tuple[tuple[str, str], ...] = ()
    contains: str | None = None
    timeout: float = 10.0
    retries: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A check the user consciously sets aside, until `until` (ISO date) at the latest."""

    check: str
    reason: str
    until: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """How a service runs without containers (process engine): a command, and how to prepare it."""

    service: str
    command: str | None = None
    build: tuple[str, ...] = ()
    source: str | None = None
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscale:
    """`autoscale`: how many replicas `havre scale --auto` may give a service, and the load it aims at in percent of
    what one replica may use."""

    service: str
    most: int
    least: int = 1
    cpu: int | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPolicy:
    """How the app's hosts get their certificates: `auto` is ACME, and self-signed where all are local names."""

    mode: str = "auto"
    """`auto`, `acme`, `own`, `self-signed` or `off` (another proxy ends TLS)."""
    certificate: str | None = None
    key: str | None = None
    dns_hook: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSource:
    """A variable that is never read from a file in the clear: from the sealed store, or what `command` prints."""

    name: str
    command: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a server must have, or had better have; sizes in bytes, None where nothing is asked.

    `os` lists the least version of each system that will do: (`debian`, `11`).
    """

    memory: int | None = None
    cpus: int | None = None
    disk: int | None = None
    os: tuple[tuple[str, str], ...] = ()
    docker: str | None = None
    public_address: bool = False
    tools: tuple[str, ...] = ()
    """Programs that people and scripts expect on the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """Where to look and whom to ask: shown to whoever has to help at night."""

    documentation: str | None = None
    runbook: str | None = None
    monitoring: str | None = None
    status_page: str | None = None
    contacts: tuple[tuple[str, str], ...] = ()
    """(role, address): `("developer", "dev@example.org")`."""

    @property
    def rows(self) -> tuple[tuple[str, str], ...]:
        """(what it is, where) of everything that is said."""
        pointers = (
            ("documentation", self.documentation),
            ("runbook", self.runbook),
            ("monitoring", self.monitoring),
            ("status page", self.status_page),
        )
        return (*((name, place) for name, place in pointers if place), *self.contacts)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One app in one environment: the manifest with its environment merged in."""

    name: str
    environment: str = "production"
    directory: str = "."
    """Absolute: where the manifest lies; Compose paths are relative to it."""
    compose: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    migration: Migration | None = None
    verifications: tuple[Verification, ...] = ()
    backups: tuple[BackupPolicy, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    processes: tuple[ProcessSpec, ...] = ()
    autoscale: tuple[Autoscale, ...] = ()
    tls: TlsPolicy = TlsPolicy()
    engine: str | None = None
    keep_releases: int = 5
    hold_limit: float = 15.0
    secrets: tuple[SecretSource, ...] = ()
    notify: tuple[str, ...] = ()
    needs: Needs = Needs()
    recommends: Needs = Needs()
    support: Support = Support()
    places: tuple[tuple[str, Location], ...] = field(default=(), compare=False, repr=False)
    """Where each key of the manifest was written, by its dotted path (`routes[0].host`)."""

    @property
    def instance(self) -> str:
        """The name of everything this app owns on the server: `lexikon`, `lexikon-staging`."""
        return self.name if self.environment == "production" else f"{self.name}-{self.environment}"

    @property
    def secret_names(self) -> tuple[str, ...]:
        """The variables that must come from the sealed store or a command."""
        return tuple(secret.name for secret in self.secrets)

    def place(self, path: str) -> Location | None:
        """Where `routes[0].host` was written, or the nearest key above it; None when nothing is known."""
        places = dict(self.places)
        while path and path not in places:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return places.get(path)
