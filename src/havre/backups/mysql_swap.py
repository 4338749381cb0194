"""A restored database takes the place of the live one, on servers that cannot rename a database.

Tables are renamed from one database into the other: all of them in one statement, which happens as a whole or not at
all. What cannot be renamed (triggers, views, routines, events) is dropped before and made again after it: in the live
place from the snapshot's text, in the kept database from the live one's. One script does all of it, and an error in the
middle is undone: the tables go back, and the live database's own code is made again.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from havre.backups.mysql_accounts import give_alike, rights_on_code, take_rights
from havre.backups.mysql_client import (
    DUMP,
    NAME,
    answered_sql,
    client,
    literal,
    program,
    query,
    quoted,
    recipe_of,
    tables,
    tried_sql,
)  # fmt: skip
from havre.backups.mysqldump import CODE, Code, DumpReader, Section
from havre.backups.place import Place, command_failed
from havre.errors import FailedError, HavreError, Problem, RefusedError
from havre.host.files import write_atomic

_PATIENCE = 20
"""Seconds that the renames wait for transactions which use the tables still."""
_MOVABLE = frozenset({"INNODB", "MYISAM", "ARIA", "MEMORY", "CSV", "ARCHIVE", "BLACKHOLE", "ROCKSDB", "TOKUDB"})
_SWAPPED = "swapped"
"""What the script says when everything live is in its place, and only the kept database lacks its code."""
_DROPS = (
    "SELECT 'TRIGGER', TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {0}"
    " UNION ALL SELECT 'VIEW', TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = {0}"
    " UNION ALL SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES"
    " WHERE ROUTINE_SCHEMA = {0} AND ROUTINE_TYPE <> 'PACKAGE BODY'"
)
_EVENTS = "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {0}"
_CONNECTIONS = (
    "SELECT CONCAT('KILL ', ID, ';') FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND DB = "
)
_OTHERS = (
    "SELECT DISTINCT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME), CONCAT(REFERENCED_TABLE_SCHEMA, '.', REFERENCED_TABLE_NAME)"
    " FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_SCHEMA IS NOT NULL"
    " AND TABLE_SCHEMA <> REFERENCED_TABLE_SCHEMA AND {0} IN (TABLE_SCHEMA, REFERENCED_TABLE_SCHEMA)"
)


def refuse_unmovable(place: Place, live: str) -> None:
    """Raises RefusedError where the live database has what no rename carries over; nothing was touched then."""
    found = [
        f"the table {name} ({engine or 'it cannot be opened'})"
        for name, engine in sorted(tables(place, live).items())
        if engine.upper() not in _MOVABLE
    ]
    rows = (line.split("\t") for line in query(place, _OTHERS.format(literal(live))).splitlines())
    found += [f"a foreign key of {of} to {to}, in another database" for of, to in rows]
    if found:
        raise RefusedError(_unmovable(place, live, found))


def take_place(place: Place, live: str, fresh: str, old: str, code: Code, aside: Path) -> tuple[str, ...]:
    """`fresh` (its tables) and `code` become `live`; `live` is kept as `old`, its events at rest.

    Returns what could not be made again of the kept database's code. Raises FailedError when it did not work; then
    `live` is as it was. `aside` is where the live database's code is written down meanwhile.
    """
    return _Swap(place=place, live=live, fresh=fresh, old=old, code=code, aside=aside).run()


def fill_missing(place: Place, live: str, fresh: str, code: Code) -> None:
    """The same where there is no `live`: it was made, and is empty."""
    answered_sql(place, "", drops(place, fresh) + renames([(fresh, live, tables(place, fresh))]))
    answered_sql(place, live, code.script())


def make_alike(place: Place, database: str, model: str, recipe: Sequence[str]) -> None:
    """An empty database like `model` where that exists, else as `recipe` says: character set, collation, rights."""
    for statement in recipe_of(place, model) or recipe or (f"CREATE DATABASE {NAME}",):
        answered_sql(place, "", statement.replace(NAME, quoted(database)))
    if database != model:
        give_alike(place, model, database)


def drop(place: Place, database: str) -> None:
    """Remove a database that Havre made, and the rights on it."""
    remove(place, database)
    take_rights(place, database)


def remove(place: Place, database: str) -> None:
    """Remove a database that is made anew: the rights on it stay."""
    answered_sql(place, "", f"DROP DATABASE IF EXISTS {quoted(database)}")


def drops(place: Place, database: str) -> str:
    """The script that drops triggers, views and routines of a database."""
    rows = (line.partition("\t") for line in query(place, _DROPS.format(literal(database))).splitlines())
    return "".join(f"DROP {kind} {quoted(database)}.{quoted(name)};\n" for kind, _, name in rows)


def renames(moves: Iterable[tuple[str, str, Collection[str]]]) -> str:
    """The one statement that moves tables, each (from, to, which); nothing where there are none."""
    words = [f"{quoted(a)}.{quoted(name)} TO {quoted(b)}.{quoted(name)}" for a, b, names in moves for name in names]
    return f"RENAME TABLE {', '.join(words)};\n" if words else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Swap:
    """One swap."""

    place: Place
    live: str
    fresh: str
    old: str
    code: Code
    aside: Path

    def run(self) -> tuple[str, ...]:
        """Write the live code down, do it, and undo it where it fails."""
        own, rights = code_of(self.place, self.live), rights_on_code(self.place, self.live)
        write_atomic(self.aside, own.script().encode(errors="surrogateescape"), mode=0o600)
        answered_sql(self.place, "", drops(self.place, self.fresh))
        make_alike(self.place, self.old, self.live, ())
        leaving, coming = tables(self.place, self.live), tables(self.place, self.fresh)
        try:
            notes = self._swapped(own, leaving, coming)
        except HavreError as error:
            self._undone(error, own, rights, leaving, coming)
            raise FailedError([replace(one, effect=f"{self.live} is as it was") for one in error.problems]) from error
        self.aside.unlink(missing_ok=True)
        tried_sql(self.place, "", "".join(f"{line};\n" for line in rights))
        drop(self.place, self.fresh)
        return notes

    def _swapped(self, own: Code, leaving: Collection[str], coming: Collection[str]) -> tuple[str, ...]:
        script = [
            f"SET SESSION lock_wait_timeout = {_PATIENCE};\n",
            drops(self.place, self.live),
            *(
                f"ALTER EVENT {quoted(self.live)}.{event} RENAME TO {quoted(self.old)}.{event} DISABLE;\n"
                for event in self._events(self.live)
            ),
            renames([(self.live, self.old, leaving), (self.fresh, self.live, coming)]),
            f"{self.code.script()}\nSELECT '{_SWAPPED}';\nUSE {quoted(self.old)};\n",
            own.script(CODE - {Section.EVENTS}),
        ]
        self._end_connections()
        command, stdin = client(self.live), io.BytesIO("".join(script).encode(errors="surrogateescape"))
        answer = self.place.ask(command, stdin=stdin)
        if answer.exit_code != 0 and _SWAPPED not in answer.output.splitlines():
            raise FailedError(command_failed(self.place, command, answer.exit_code, answer.complaints))
        return tuple(answer.complaints.splitlines()) if answer.exit_code != 0 else ()

    def _undone(
        self, error: HavreError, own: Code, rights: Sequence[str], leaving: Collection[str], coming: Collection[str]
    ) -> None:
        """Everything back to where it was; raises FailedError with both problems where that fails too."""
        try:
            was_renamed = bool(tables(self.place, self.old)) or tables(self.place, self.fresh) != coming
            back = renames([(self.live, self.fresh, coming), (self.old, self.live, leaving)]) if was_renamed else ""
            events = [f"{quoted(name)}.{event}" for name in (self.live, self.old) for event in self._events(name)]
            gone = drops(self.place, self.live) + "".join(f"DROP EVENT {event};\n" for event in events)
            answered_sql(self.place, self.live, f"{gone}{back}{own.script()}")
            tried_sql(self.place, "", "".join(f"{line};\n" for line in rights))
            drop(self.place, self.old)
        except HavreError as second:
            half = _half_way(self.live, self.old, self.aside)
            raise FailedError([*error.problems, *second.problems, half]) from error
        self.aside.unlink(missing_ok=True)

    def _events(self, database: str) -> list[str]:
        return [quoted(name) for name in query(self.place, _EVENTS.format(literal(database))).splitlines()]

    def _end_connections(self) -> None:
        """A transaction that is open in the live database would let the renames wait."""
        used = (
            "SELECT CONCAT('KILL ', ID, ';') FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND DB = "
        )
        tried_sql(self.place, "", query(self.place, f"{used}{literal(self.live)}"))


def code_of(place: Place, database: str) -> Code:
    """Triggers, views, routines and events of a live database, as its own tool writes them."""
    reading = _Reading()
    command = program("mysqldump", database, *DUMP, "--no-data")
    done = place.stream(command, stdout=reading)
    if done.exit_code != 0:
        raise FailedError(command_failed(place, command, done.exit_code, done.complaints))
    return reading.code


@dataclass(frozen=True, slots=True)
class _Reading:
    """Keeps the code of a dump that is written to it."""

    code: Code = field(default_factory=Code)
    reader: DumpReader = field(default_factory=DumpReader)

    def write(self, piece: bytes) -> int:
        """Take a piece."""
        for section, cut in self.reader.split(piece):
            self.code.add(section, cut)
        return len(piece)


def _unmovable(place: Place, live: str, found: Sequence[str]) -> Problem:
    return Problem(
        summary=f"{live} cannot be replaced as a whole: MySQL cannot rename some of it into another database",
        subject=place.name,
        evidence=tuple(found[:10]),
        effect="nothing was changed",
        hint=f"restore it beside with --only {live} --to NAME, and copy from there what you need",
        code="restore-unmovable",
    )


def _half_way(live: str, old: str, aside: Path) -> Problem:
    return Problem(
        summary=f"the swap of {live} failed half-way, and could not be taken back",
        evidence=(f"tables that are not in {live} any more are in {old}", f"its triggers, views and routines: {aside}"),
        effect=f"{live} is not whole",
        hint=f"when the server answers again: RENAME TABLE back from {old}, then feed that file to its client",
        code="restore-half-way",
    )
