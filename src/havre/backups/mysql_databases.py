"""The databases of a MySQL or MariaDB server, as restores and drills work with them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from havre.backups import mysql_accounts, mysql_swap
from havre.backups.databases import KEPT, TRUE, as_file, rows_differ
from havre.backups.mysql_client import (
    OWN_MODE,
    answered_sql,
    client,
    databases,
    exists,
    literal,
    program,
    query,
    quoted,
    sizes,
    tables,
    tried_sql,
)  # fmt: skip
from havre.backups.mysqldump import Code, DumpError, DumpReader, Section, unqualified
from havre.backups.place import Collected, Place
from havre.errors import FailedError, HavreError, Problem, RefusedError
from havre.host import clock
from havre.model.backup import Part
from havre.model.units import show_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1 << 20
_PACKET = 1 << 30
"""The largest statement that a server may be made to take, in bytes: a row with a large value is one statement."""


@dataclass(frozen=True, slots=True)
class MysqlDatabases:
    """Tables are renamed into another database, everything else is made again; `aside` is a directory of Havre's."""

    place: Place
    aside: Path
    accounts: str = "accounts"
    _code: dict[str, Code] = field(default_factory=dict)
    """What is not data of those that were filled."""
    _swaps: dict[str, mysql_swap.Swap] = field(default_factory=dict)
    """Those that are prepared, by the name of what was filled."""

    def directory(self) -> str:
        """As the server says."""
        return query(self.place, "SELECT @@datadir")

    def biggest(self) -> tuple[str, ...]:
        """Databases, what restores kept among them."""
        try:
            return tuple(f"{show_bytes(size)} in the database {name}" for name, size in sizes(self.place)[:4])
        except HavreError:
            return ()

    def exists(self, name: str) -> bool:
        """As the server says."""
        return exists(self.place, name)

    def make_missing_accounts(self, globals_sql: str) -> tuple[str, ...]:
        """Views need those in whose name they are read."""
        return mysql_accounts.make_missing(self.place, globals_sql)

    def forget_accounts(self, names: Sequence[str]) -> None:
        """They would be taken for existing ones the next time, and never get the rest of their rights."""
        mysql_accounts.forget(self.place, names)

    def give_rights(self, globals_sql: str, names: Sequence[str]) -> tuple[str, ...]:
        """Rights on single tables and routines."""
        return mysql_accounts.give_rights(self.place, globals_sql, names)

    def refuse_unmovable(self, names: Sequence[str]) -> None:
        """Of those that are there."""
        for name in names:
            if exists(self.place, name):
                mysql_swap.refuse_unmovable(self.place, name)

    def fill(self, name: str, part: Part, source: AbstractContextManager[BinaryIO]) -> tuple[str, ...]:
        """By the client, without the events: they would run beside those of the live database."""
        mysql_swap.make_alike(self.place, name, part.name, part.recipe)
        try:
            with source as dump, _large_statements(self.place):
                self._code[name] = self._load(name, dump)
            verify_rows(self.place, name, part)
        except BaseException:
            with suppress(HavreError):  # a server that is gone takes nothing more; why it went is to be told
                mysql_swap.drop(self.place, name)
            raise
        left_out = f"{part.name}: its events are not in {name}: they would run beside the live ones"
        return (left_out,) if self._code[name].has_events else ()

    def rehearse(self, part: Part, source: AbstractContextManager[BinaryIO]) -> str:
        """Under its own name, which code and rights may mention; events are made too, and none of them runs."""
        if query(self.place, "SELECT @@GLOBAL.event_scheduler") == "ON":  # where it is DISABLED it cannot be set
            answered_sql(self.place, "", "SET GLOBAL event_scheduler = OFF")
        mysql_swap.remove(self.place, part.name)
        self.fill(part.name, part, source)
        answered_sql(self.place, part.name, self._code[part.name].script({Section.EVENTS}))
        return part.name

    def prepare(self, live: Part, fresh: str, old: str) -> None:
        """The live code is read and written down, the fresh one dropped: it was a rehearsal."""
        if exists(self.place, live.name):
            try:
                self._swaps[fresh] = mysql_swap.prepared(
                    self.place, live.name, fresh, old, self._code[fresh], self._aside(old)
                )
            except BaseException:
                with suppress(HavreError):
                    mysql_swap.drop(self.place, old)
                self._aside(old).unlink(missing_ok=True)
                raise

    def take_place(self, live: Part, fresh: str, old: str) -> tuple[bool, tuple[str, ...]]:
        """All tables in one statement, the rest around it."""
        if swap := self._swaps.pop(fresh, None):
            return True, tuple(f"{old} lacks some of its code: {line}" for line in swap.run())
        mysql_swap.make_alike(self.place, live.name, live.name, live.recipe)
        try:
            mysql_swap.fill_missing(self.place, live.name, fresh, self._code[fresh])
        except BaseException:
            mysql_swap.remove(self.place, live.name)
            raise
        return False, ()

    def finish(self, fresh: str) -> None:
        """Nothing is in it any more."""
        mysql_swap.drop(self.place, fresh)

    def drop(self, name: str) -> None:
        """With the rights on it, and what a swap was prepared with that does not come."""
        mysql_swap.drop(self.place, name)
        if swap := self._swaps.pop(name, None):
            mysql_swap.drop(self.place, swap.old)
            swap.aside.unlink(missing_ok=True)

    def drop_kept(self) -> tuple[str, ...]:
        """Databases only; one whose swap was cut off may hold what is live: RefusedError, and none is removed."""
        kept = tuple(name for name in databases(self.place) if re.search(KEPT, name))
        if cut_off := [name for name in kept if self._aside(name).exists()]:
            raise RefusedError([_cut_off(self.place, name, self._aside(name)) for name in cut_off])
        for name in kept:
            mysql_swap.drop(self.place, name)
        return kept

    def await_start(self, limit: float) -> bool:
        """Asked over TCP, where the server that only prepares the data directory does not listen; on a port of the
        user's own, whether it listens at all.
        """
        deadline = clock.elapsed() + limit
        over_tcp = program("mysqladmin", "", "--host=127.0.0.1", "--protocol=tcp", "--connect-timeout=5", "ping")
        while self.place.ask(over_tcp).exit_code != 0 and not self._listens():
            if clock.elapsed() >= deadline:
                return False
            clock.sleep(0.3)
        return True

    def answer(self, database: str, sql: str) -> str:
        """MySQL says `1`."""
        answer = query(self.place, OWN_MODE + sql, database)
        return TRUE if answer == "1" else answer

    def _listens(self) -> bool:
        return tried_sql(self.place, "", "SELECT @@skip_networking").output.strip() == "0"

    def _aside(self, old: str) -> Path:
        """Where the code of what is kept under that name is written down while it changes places."""
        return self.aside / f"{as_file(old)}.sql"

    def _load(self, name: str, dump: BinaryIO) -> Code:
        loaded = _Loaded(dump)
        command = client(name)
        done = self.place.stream(command, stdout=Collected(), stdin=cast("BinaryIO", loaded))
        if done.exit_code != 0:
            raise FailedError(_load_failed(self.place, name, done.exit_code, done.complaints))
        try:
            loaded.reader.finish()
        except DumpError as error:
            raise FailedError(_load_failed(self.place, name, 0, f"the stored dump is not whole: {error}")) from error
        return loaded.code


class _Loaded:
    """A dump as the client is given it: without events, and with code that names no other database."""

    def __init__(self, dump: BinaryIO) -> None:
        self._dump = dump
        self._held = bytearray()
        self.reader = DumpReader()
        self.code = Code()

    def read(self, size: int = _CHUNK) -> bytes:
        """Something, until there is no more."""
        while piece := self._dump.read(size):
            if passed := b"".join(self._passed(piece)):
                return passed
        return b""

    def _passed(self, piece: bytes) -> Iterator[bytes]:
        for section, cut in self.reader.split(piece):
            self.code.add(section, cut)
            if section in (Section.TRIGGERS, Section.ROUTINES):
                self._held += cut
                continue
            if self._held:
                yield unqualified(bytes(self._held)).encode(errors="surrogateescape")
                self._held.clear()
            if section is not Section.EVENTS:
                yield cut


def verify_rows(place: Place, database: str, part: Part) -> None:
    """Compare the rows of each table with what the dump held; raises FailedError with every difference."""
    present = tables(place, database)
    found = _rows(place, database, [table for table, _ in part.counts if table in present])
    different = [
        f"{table}: {found[table]} rows, the dump held {rows}"
        if table in found
        else f"{table}: not there, the dump held {rows} rows"
        for table, rows in part.counts
        if found.get(table) != rows
    ]
    if different:
        raise FailedError(rows_differ(place, database, different))


def _rows(place: Place, database: str, names: Collection[str]) -> dict[str, int]:
    script = "".join(f"SELECT COUNT(*), {literal(name)} FROM {quoted(name)};\n" for name in names)  # noqa: S608
    rows = (line.partition("\t") for line in answered_sql(place, database, script).splitlines())
    return {name: int(count) for count, _, name in rows}


@contextmanager
def _large_statements(place: Place) -> Iterator[None]:
    """The server takes whatever a dump of its like may hold; connections that are open keep their own limit."""
    before = int(query(place, "SELECT @@GLOBAL.max_allowed_packet"))
    if before >= _PACKET:
        yield
        return
    answered_sql(place, "", f"SET GLOBAL max_allowed_packet = {_PACKET}")
    try:
        yield
    finally:
        with suppress(HavreError):  # a server that is gone forgets it too
            answered_sql(place, "", f"SET GLOBAL max_allowed_packet = {before}")


def _cut_off(place: Place, old: str, aside: Path) -> Problem:
    return Problem(
        summary=f"the restore that kept {old} was cut off while databases changed places",
        subject=place.name,
        evidence=(f"the triggers, views, routines and events of the database that was live are in {aside}",),
        effect="nothing was removed: tables of the live database may be in it",
        hint=f"look whether the live database has all its tables and code; when it has, remove {aside} and try again",
        code="restore-half-way",
    )


def _load_failed(place: Place, database: str, code: int, complaints: str) -> Problem:
    return Problem(
        summary=f"loading the dump into {database} failed" + (f" with exit code {code}" if code else ""),
        subject=place.name,
        evidence=tuple(complaints.strip().splitlines()[-6:]),
        effect="the live database was not touched",
        hint="the lines above are the server's own words; an older version may lack what the dump needs",
        code="restore-failed",
    )
