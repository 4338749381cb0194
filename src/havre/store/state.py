"""Where Havre keeps what it knows on this server: one directory, everything in it named here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from havre.host.files import private_directory
from havre.store.confirmations import Confirmations
from havre.store.database import Database
from havre.store.instances import Instances
from havre.store.releases import Releases


@dataclass(frozen=True)
class State:
    """The state directory: `/var/lib/havre` for root, `~/.local/share/havre` otherwise, or as told."""

    directory: Path

    @cached_property
    def database(self) -> Database:
        """The SQLite database, made or brought up to date on first use."""
        return Database(private_directory(self.directory) / "havre.db")

    @property
    def releases(self) -> Releases:
        """The book of releases."""
        return Releases(self.database)

    @property
    def instances(self) -> Instances:
        """The server-wide book of instances and claims."""
        return Instances(self.database)

    @property
    def confirmations(self) -> Confirmations:
        """What people confirmed of the production checklist."""
        return Confirmations(self.database)

    @property
    def edge(self) -> Path:
        """The edge's configuration, certificates and sockets."""
        return self.directory / "edge"

    @property
    def keys(self) -> Path:
        """The age key that seals secrets and release configurations."""
        return self.directory / "keys"

    @property
    def secrets(self) -> Path:
        """Sealed secrets, one file per instance."""
        return self.directory / "secrets"

    @property
    def processes(self) -> Path:
        """What the process engine runs: data, logs, prepared sources."""
        return self.directory / "process"

    @property
    def backups(self) -> Path:
        """Local backup repository and reports."""
        return self.directory / "backups"

    def lock(self, instance: str) -> Path:
        """The lock file of an instance."""
        return self.directory / "locks" / f"{instance}.lock"


def default_directory(*, is_root: bool, home: Path, override: str | None) -> Path:
    """`HAVRE_STATE` or `--state` when given, else the usual place for this user."""
    if override:
        return Path(override).expanduser().absolute()
    return Path("/var/lib/havre") if is_root else home / ".local/share/havre"
