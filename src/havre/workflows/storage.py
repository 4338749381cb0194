"""Where this server keeps backups: the records, the key, and the repositories as they are reached from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from havre.backups.book import Book
from havre.backups.opening import open_repository
from havre.backups.repository import Repository
from havre.backups.vault import Destination, Vault
from havre.errors import HavreError
from havre.model.backup import BackupPolicy
from havre.workflows.server import Server
from havre.workflows.settings import read_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """How this server reaches its repositories. `variables` is the environment the user gave storage keys in."""

    server: Server
    variables: Mapping[str, str] = field(default_factory=dict)
    patience: float = 300.0
    _refused: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    """Repositories that the environment's credentials do not open."""

    @property
    def book(self) -> Book:
        """What is known of snapshots here."""
        return Book(self.server.state.backups)

    @property
    def vault(self) -> Vault:
        """The repositories' key."""
        return Vault(self.server.state.backups / "key.sealed", self.server.seal, self.server.unseal)

    @property
    def default_url(self) -> str:
        """Where backups go when the manifest names no place."""
        return str(self.server.state.backups / "repo")

    def urls(self, policy: BackupPolicy) -> tuple[str, ...]:
        """The repositories of a policy; a relative path is below the server's backups."""
        wanted = policy.to or read_settings(self.server.state.directory).backup_to
        return tuple(self._absolute(url) for url in wanted) or (self.default_url,)

    def repository(self, url: str) -> Repository:
        """The repository at `url`, whether it exists or not.

        Credentials in the environment that differ from the sealed ones may be new, or those of something else: they are
        used and sealed when they open it, or when neither find one; else the sealed ones are used.
        """
        found = self.vault.destination(url, self.variables)
        given = self._opened(found)
        if self.vault.is_sealed(found):
            return given
        sealed = self._opened(self.vault.destination(url, {}))
        if url not in self._refused and reaches(given, instead_of=sealed):
            self.vault.remember(found)
            return given
        self._refused.add(url)
        return sealed

    def _opened(self, destination: Destination) -> Repository:
        directory = self.server.state.directory
        return open_repository(destination, state=directory, variables=self.variables, patience=self.patience)

    def made(self, url: str, instance: str) -> Repository:
        """The same, made where nothing of the instance was stored yet: one that vanished later must be noticed."""
        repository = self.repository(url)
        if not any(url in one.places for one in self.book.snapshots(instance)):
            repository.make()
        return repository

    def _absolute(self, url: str) -> str:
        if url.startswith("/") or ":" in url:
            return url
        return str(self.server.state.backups / url)


def reaches(given: Repository, *, instead_of: Repository) -> bool:
    """Whether these credentials open the repository, or could make it where the others do not open it either."""
    try:
        if given.exists():
            return True
    except HavreError:
        return False
    try:
        return not instead_of.exists()
    except HavreError:
        return True
