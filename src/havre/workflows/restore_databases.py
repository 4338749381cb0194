"""Databases come back beside the live ones, verified, and then take their place while requests are held."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import BinaryIO

from havre.backups.databases import Databases, fits
from havre.backups.place import Place
from havre.errors import HavreError, InputError
from havre.host import clock
from havre.host.unbroken import unbroken
from havre.model.backup import Part, Snapshot
from havre.workflows.holding import requests_held
from havre.workflows.restore_files import name_taken
from havre.workflows.room import needed_for, refuse_restore_without_room
from havre.workflows.server import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredDatabases:
    """The restore of one service's databases."""

    server: Server
    instance: str
    place: Place
    databases: Databases
    snapshot: Snapshot
    open: Callable[[Part], AbstractContextManager[BinaryIO]]
    progress: Callable[[str], None]

    def replace_live(self) -> tuple[str, ...]:
        """All parts of the snapshot become live; returns how the databases that were live before are called now."""
        self.databases.refuse_unmovable([part.name for part in self.snapshot.parts])
        made = self._begin()
        mark = clock.stamp(clock.now()).replace("-", "_")
        fresh: dict[Part, str] = {}
        try:
            for part in self.snapshot.parts:
                name = fits(part.name, f"__new_{mark}")
                self._fill(name, part)
                fresh[part] = name
            for part, name in fresh.items():
                self.databases.prepare(part, name, fits(part.name, f"__before_{mark}"))
        except BaseException:
            self._drop(fresh.values())
            with suppress(HavreError):
                self.databases.forget_accounts(made)
            raise
        with unbroken(lambda: self.progress("it cannot be stopped now: the databases are changing places")):
            return self._change_places(fresh, mark, made)

    def beside(self, to: str) -> None:
        """The one part of the snapshot as a database of this name."""
        if self.databases.exists(to):
            raise InputError(name_taken("database", to))
        made = self._begin()
        [part] = self.snapshot.parts
        try:
            self._tell(self._fill(to, part))
        except BaseException:
            with suppress(HavreError):
                self.databases.forget_accounts(made)
            raise
        self._tell(self.databases.give_rights(self.snapshot.globals_sql, made))

    def _begin(self) -> tuple[str, ...]:
        """Returns the accounts that were made."""
        needed = needed_for(self.snapshot.parts)
        refuse_restore_without_room(self.place, self.databases.directory(), needed, takers=self.databases.biggest)
        made = self.databases.make_missing_accounts(self.snapshot.globals_sql)
        if made:
            self.progress(f"made the {self.databases.accounts} {', '.join(made)}")
        return made

    def _fill(self, name: str, part: Part) -> tuple[str, ...]:
        self.progress(f"{part.name}: restoring {part.total} rows into {name}")
        told = self.databases.fill(name, part, self.open(part))
        self.progress(f"{part.name}: every table has the rows of the snapshot")
        return told

    def _change_places(self, fresh: dict[Part, str], mark: str, made: tuple[str, ...]) -> tuple[str, ...]:
        try:
            kept = self._swap_all(fresh, mark)
        except HavreError:
            with suppress(HavreError):  # those that changed places need their accounts' rights all the same
                self.databases.give_rights(self.snapshot.globals_sql, made)
            raise
        self._tell(self.databases.give_rights(self.snapshot.globals_sql, made))
        return kept

    def _swap_all(self, fresh: dict[Part, str], mark: str) -> tuple[str, ...]:
        kept = []
        try:
            with requests_held(self.server.traffic, self.instance):
                for part, name in fresh.items():
                    old = fits(part.name, f"__before_{mark}")
                    was_there, told = self.databases.take_place(part, name, old)
                    self._tell(told)
                    if was_there:
                        kept.append(old)
        except HavreError:
            self._tell(tuple(f"restored all the same: what was live before is kept as {old}" for old in kept))
            self._drop(fresh.values())  # those that changed places have left nothing under that name
            raise
        for name in fresh.values():
            self.databases.finish(name)
        return tuple(kept)

    def _drop(self, names: Iterable[str]) -> None:
        """What was filled for nothing; a server that does not answer must not hide why it was."""
        for name in names:
            with suppress(HavreError):
                self.databases.drop(name)

    def _tell(self, lines: tuple[str, ...]) -> None:
        for line in lines:
            self.progress(line)
