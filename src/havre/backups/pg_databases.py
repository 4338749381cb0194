"""The databases of a PostgreSQL server, as restores and drills work with them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from havre.backups import postgres
from havre.backups.databases import TRUE
from havre.backups.place import Place
from havre.errors import HavreError
from havre.host import clock
from havre.model.backup import Part
from havre.model.units import show_bytes

_BIGGEST = "SELECT datname, pg_database_size(datname) FROM pg_database ORDER BY 2 DESC LIMIT 4"
_READY = 'exec pg_isready -q -h "${PGHOST:-127.0.0.1}"'
"""Over TCP, where the server that only prepares the data directory does not listen."""


@dataclass(frozen=True, slots=True)
class PostgresDatabases:
    """Databases are renamed, roles come before them."""

    place: Place
    accounts: str = "roles"

    def directory(self) -> str:
        """As the server says."""
        return postgres.data_directory(self.place)

    def biggest(self) -> tuple[str, ...]:
        """Data directories that restores to a moment kept, then databases."""
        kept = postgres.sizes_of_restores(self.place)[:4]
        lines = tuple(f"{show_bytes(size)} that an earlier restore kept ({name})" for name, size in kept)
        try:
            rows = [line.partition("\t") for line in postgres.query(self.place, "postgres", _BIGGEST).splitlines()]
        except HavreError:
            rows = []
        return (*lines, *(f"{show_bytes(int(size))} in the database {name}" for name, _, size in rows))

    def exists(self, name: str) -> bool:
        """Asked in `template1`, which lets its owner in always."""
        return postgres.exists(self.place, name)

    def make_missing_accounts(self, globals_sql: str) -> tuple[str, ...]:
        """Owners must be there before what they own."""
        return postgres.create_missing_roles(self.place, globals_sql)

    def forget_accounts(self, names: Sequence[str]) -> None:
        """Roles stay: they own nothing, and the next restore needs them."""

    def give_rights(self, globals_sql: str, names: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG002
        """Nothing is left: the dumps have the rights on what is in them."""
        return ()

    def refuse_unmovable(self, names: Sequence[str]) -> None:
        """Every database can be renamed."""

    def fill(self, name: str, part: Part, source: AbstractContextManager[BinaryIO]) -> tuple[str, ...]:
        """By pg_restore."""
        postgres.restore_into(self.place, name, part, source)
        return ()

    def rehearse(self, part: Part, source: AbstractContextManager[BinaryIO]) -> str:
        """Beside what the image made at its first start."""
        name = f"{part.name[:40]}__drill"
        self.fill(name, part, source)
        return name

    def prepare(self, live: Part, fresh: str, old: str) -> None:
        """A rename needs nothing."""

    def finish(self, fresh: str) -> None:
        """It has another name now."""

    def take_place(self, live: Part, fresh: str, old: str) -> tuple[bool, tuple[str, ...]]:
        """Renamed, both in one transaction."""
        if was_there := postgres.exists(self.place, live.name):
            postgres.swap(self.place, live.name, fresh, old)
        else:
            postgres.rename(self.place, fresh, live.name)
        return was_there, ()

    def drop(self, name: str) -> None:
        """With whoever is in it."""
        postgres.drop(self.place, name)

    def drop_kept(self) -> tuple[str, ...]:
        """Databases, and the data directories of restores to a moment."""
        databases = postgres.kept_by_restores(self.place)
        directories = postgres.directories_of_restores(self.place)
        for name in databases:
            postgres.drop(self.place, name)
        for name in directories:
            postgres.remove_directory(self.place, name)
        return (*databases, *directories)

    def await_start(self, limit: float) -> bool:
        """Asked over TCP."""
        deadline = clock.elapsed() + limit
        while self.place.ask(postgres.owner("sh", "-c", _READY)).exit_code != 0:
            if clock.elapsed() >= deadline:
                return False
            clock.sleep(0.3)
        return True

    def answer(self, database: str, sql: str) -> str:
        """PostgreSQL says `t`."""
        answer = postgres.query(self.place, database, sql)
        return TRUE if answer == "t" else answer
