"""MySQL and MariaDB: each database as its own tool dumps it, rows counted as they pass; accounts beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from havre.backups.databases import KEPT, as_file, dump_not_whole, no_such_database
from havre.backups.feeding import Writable
from havre.backups.frames import ENDING, Framed
from havre.backups.mysql_accounts import accounts
from havre.backups.mysql_client import (
    DUMP,
    databases,
    program,
    query,
    recipe_of,
    sizes,
    tables,
    without_history,
)
from havre.backups.mysqldump import DumpError, DumpReader
from havre.backups.place import Keep, Place, Taken, produced
from havre.errors import FailedError, InputError, Problem
from havre.model.backup import Part

_SAFE_ENGINES = ("InnoDB", "ROCKSDB", "TokuDB", "ndbcluster")
"""Whose tables one transaction sees as they were at one moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mysql:
    """All databases of a server, or those named."""

    databases: tuple[str, ...] = ()
    name: str = "mysql"
    proof: str = "the stored dump can be read back"

    def take(self, place: Place, keep: Keep) -> Taken:
        """Dump every database and the accounts; each dump is read as it passes, then the head of what is stored."""
        chosen = self._chosen(place)
        parts = tuple(_dump(place, keep, database) for database in chosen)
        loose = _loose_tables(place, chosen)
        read_apart = (f"not of one moment, because their engine has no transactions: {', '.join(loose)}",)
        today = [f"{database}.{table}" for database in chosen for table in without_history(place, database)]
        no_history = (f"without what system-versioned tables keep of earlier rows: {', '.join(today)}",)
        return Taken(
            parts=parts,
            checks=(
                f"the dump ended with 0 for {', '.join(chosen)}",
                "every table is in it, and its rows are counted",
                *(read_apart if loose else ()),
                *(no_history if today else ()),
            ),
            globals_sql=accounts(place),
            version=query(place, "SELECT VERSION()"),
        )

    def prove(self, place: Place, part: Part, stored: AbstractContextManager[BinaryIO]) -> str:
        """Read the head of a stored dump; raises FailedError when it is none."""
        reader = DumpReader()
        with stored as dump:
            while not reader.tables and part.counts and (piece := dump.read(_HEAD)):
                reader.feed(piece)
        if part.counts and not reader.tables:
            raise FailedError(dump_not_whole(place, part.name, "nothing of it can be read back"))
        return f"{part.total} rows, {len(part.counts)} tables"

    def estimate(self, place: Place) -> int | None:
        """What the chosen databases take on disk, indexes included, as the server knows it."""
        return sum(size for name, size in sizes(place) if name in self._chosen(place)) or None

    def _chosen(self, place: Place) -> tuple[str, ...]:
        present = databases(place)
        if missing := [name for name in self.databases if name not in present]:
            raise InputError(no_such_database(place, missing, present))
        chosen = self.databases or tuple(name for name in present if not re.search(KEPT, name))
        if not chosen:
            raise FailedError(_nothing(place))
        return chosen


_HEAD = 65536


def _dump(place: Place, keep: Keep, database: str) -> Part:
    reader = DumpReader()
    file = f"{as_file(database)}.sql{ENDING}"
    command = program("mysqldump", database, *DUMP)
    dumped = []
    before = tables(place, database)

    def produce(sink: Writable) -> int:
        framed = Framed(sink, reader)
        produced(place, command)(framed)
        framed.finish()
        dumped.append(framed.size)
        reader.finish()  # while what is not whole is still refused
        return 0

    try:
        stored = keep(file, produce, lambda _: None)
        counts = reader.finish()
    except DumpError as error:
        raise FailedError(dump_not_whole(place, database, error)) from error
    stayed = before.keys() & tables(place, database).keys()
    if missing := sorted(stayed - reader.tables):
        raise FailedError(dump_not_whole(place, database, f"it lacks {', '.join(missing[:5])}"))
    return Part(
        name=database, file=file, size=dumped[-1], counts=tuple(sorted(counts.items())), restic=stored.id,
        recipe=recipe_of(place, database),
    )  # fmt: skip


def _loose_tables(place: Place, chosen: Sequence[str]) -> list[str]:
    return [
        f"{database}.{table} ({engine})"
        for database in chosen
        for table, engine in sorted(tables(place, database).items())
        if engine not in _SAFE_ENGINES
    ]


def _nothing(place: Place) -> Problem:
    return Problem(
        summary=f"{place.name} has no database but the server's own",
        effect="nothing was stored",
        hint="back up when the app has made its database",
        code="backup-nothing",
    )
