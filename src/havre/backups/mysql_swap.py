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
    TABLE_TYPES,
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
_LOOK = (
    "SELECT 'TABLE', TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {0} AND TABLE_TYPE IN ({1})"
    " UNION ALL SELECT 'TRIGGER', TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {0}"
    " UNION ALL SELECT 'VIEW', TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = {0}"
    " UNION ALL SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = {0}"
    " UNION ALL SELECT 'EVENT', EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {0}"
    " UNION ALL SELECT 'KILL', CAST(ID AS CHAR) FROM information_schema.PROCESSLIST"
    " WHERE DB = {0} AND ID <> CONNECTION_ID()"
)
_CODE = ("TRIGGER", "VIEW", "PROCEDURE", "FUNCTION", "PACKAGE")
"""What is dropped, in this order; a package takes its body along."""
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


def prepared(place: Place, live: str, fresh: str, old: str, code: Code, aside: Path) -> Swap:
    """Everything about a swap that can be done before it: `live` is not touched.

    `fresh` (its tables) and `code` are to become `live`, and `live` is to be kept as `old`. `aside` is where the live
    database's code is written down, until it is back in one of them.
    """
    own, rights = _code_of(place, live), rights_on_code(place, live)
    write_atomic(aside, own.script().encode(errors="surrogateescape"), mode=0o600)
    answered_sql(place, "", _look(place, fresh).drops)
    make_alike(place, old, live, ())
    coming = _look(place, fresh).tables
    return Swap(
        place=place, live=live, fresh=fresh, old=old, code=code, aside=aside, own=own, rights=rights, coming=coming
    )


def fill_missing(place: Place, live: str, fresh: str, code: Code) -> None:
    """The same where there is no `live`: it was made, and is empty."""
    found = _look(place, fresh)
    answered_sql(place, "", found.drops + _renames([(fresh, live, found.tables)]))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """One swap that is prepared; `own` and `rights` are the live database's, `coming` the tables of the other one."""

    place: Place
    live: str
    fresh: str
    old: str
    code: Code
    aside: Path
    own: Code
    rights: tuple[str, ...]
    coming: tuple[str, ...]

    def run(self) -> tuple[str, ...]:
        """Do it, and undo it where it fails: then it raises FailedError, and `live` is as it was.

        Returns what could not be made again of the kept database's code. `fresh` is empty then.
        """
        found = _look(self.place, self.live)
        try:
            notes = self._swapped(found)
        except HavreError as error:
            self._undone(error, found.tables)
            raise FailedError([replace(one, effect=f"{self.live} is as it was") for one in error.problems]) from error
        self.aside.unlink(missing_ok=True)
        tried_sql(self.place, "", "".join(f"{line};\n" for line in self.rights))
        return notes

    def _swapped(self, found: _Found) -> tuple[str, ...]:
        live, old = quoted(self.live), quoted(self.old)
        script = [
            f"SET SESSION lock_wait_timeout = {_PATIENCE};\n",
            found.drops,
            *(f"ALTER EVENT {live}.{name} RENAME TO {old}.{name} DISABLE;\n" for name in map(quoted, found.events)),
            _renames([(self.live, self.old, found.tables), (self.fresh, self.live, self.coming)]),
            f"{self.code.script()}\nSELECT '{_SWAPPED}';\nUSE {old};\n",
            self.own.script(CODE - {Section.EVENTS}),
        ]
        # a transaction that is open in the live database would let the renames wait
        tried_sql(self.place, "", "".join(f"KILL {connection};\n" for connection in found.connections))
        command, stdin = client(self.live), io.BytesIO("".join(script).encode(errors="surrogateescape"))
        answer = self.place.ask(command, stdin=stdin)
        if answer.exit_code != 0 and _SWAPPED not in answer.output.splitlines():
            raise FailedError(command_failed(self.place, command, answer.exit_code, answer.complaints))
        return tuple(answer.complaints.splitlines()) if answer.exit_code != 0 else ()

    def _undone(self, error: HavreError, leaving: Collection[str]) -> None:
        """Everything back to where it was; raises FailedError with both problems where that fails too."""
        try:
            live, old, fresh = (_look(self.place, name) for name in (self.live, self.old, self.fresh))
            was_renamed = bool(old.tables) or fresh.tables != self.coming
            back = [(self.live, self.fresh, self.coming), (self.old, self.live, leaving)] if was_renamed else []
            events = "".join(f"DROP EVENT {quoted(one.name)}.{quoted(x)};\n" for one in (live, old) for x in one.events)
            answered_sql(self.place, self.live, f"{live.drops}{events}{_renames(back)}{self.own.script()}")
            tried_sql(self.place, "", "".join(f"{line};\n" for line in self.rights))
            drop(self.place, self.old)
        except HavreError as second:
            half = _half_way(self.live, self.old, self.aside)
            raise FailedError([*error.problems, *second.problems, half]) from error
        self.aside.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What is in a database, and who."""

    name: str
    things: tuple[tuple[str, str], ...]
    """(kind, name) of each."""

    def of(self, *kinds: str) -> tuple[str, ...]:
        """The names of these kinds, in order."""
        return tuple(sorted(name for kind, name in self.things if kind in kinds))

    @property
    def tables(self) -> tuple[str, ...]:
        """Sequences among them."""
        return self.of("TABLE")

    @property
    def events(self) -> tuple[str, ...]:
        """Whether they are enabled or not."""
        return self.of("EVENT")

    @property
    def connections(self) -> tuple[str, ...]:
        """Their ids."""
        return self.of("KILL")

    @property
    def drops(self) -> str:
        """The script that drops triggers, views and routines."""
        found = [(kind, name) for kind in _CODE for name in self.of(kind)]
        return "".join(f"DROP {kind} {quoted(self.name)}.{quoted(name)};\n" for kind, name in found)


def _look(place: Place, database: str) -> _Found:
    rows = query(place, _LOOK.format(literal(database), TABLE_TYPES)).splitlines()
    things = ((kind, name) for kind, _, name in (row.partition("\t") for row in rows))
    return _Found(name=database, things=tuple(things))


def _renames(moves: Iterable[tuple[str, str, Collection[str]]]) -> str:
    """The one statement that moves tables, each (from, to, which); nothing where there are none."""
    words = [f"{quoted(a)}.{quoted(name)} TO {quoted(b)}.{quoted(name)}" for a, b, names in moves for name in names]
    return f"RENAME TABLE {', '.join(words)};\n" if words else ""


def _code_of(place: Place, database: str) -> Code:
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
