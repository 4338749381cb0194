"""PostgreSQL: each database as pg_dump's custom format, rows counted as they pass; roles beside them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import BinaryIO

from havre.backups.databases import KEPT, as_file, dump_not_whole, no_such_database, rows_differ
from havre.backups.feeding import Writable
from havre.backups.frames import ENDING, Framed
from havre.backups.pg_recipe import asking, statements
from havre.backups.pgarchive import ArchiveError, ArchiveReader
from havre.backups.place import DATABASE, Collected, Keep, Place, Taken, answered, command_failed, produced
from havre.errors import FailedError, InputError, Problem
from havre.model.backup import Part

_AS_OWNER = (
    "sh",
    "-c",
    """
    export PGUSER="${POSTGRES_USER:-postgres}" PGCONNECT_TIMEOUT=20
    if [ -z "$PGPASSWORD" ] && [ -n "$POSTGRES_PASSWORD" ]; then export PGPASSWORD="$POSTGRES_PASSWORD"; fi
    if [ -z "$PGPASSWORD" ] && [ -n "$POSTGRES_PASSWORD_FILE" ]; then
        PGPASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")"; export PGPASSWORD
    fi
    exec "$@"
    """,
    "havre",
)
"""Run what follows with the image's own variables as libpq's: no password leaves the replica."""

_PSQL = ("psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1")
_TABLES = (
    "SELECT n.nspname || '.' || c.relname, format('%I.%I', n.nspname, c.relname)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'm', 'f')"
)
_UNLOGGED = (
    "SELECT n.nspname || '.' || c.relname"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relpersistence = 'u'"
)
_DATA = "${PGDATA:-/var/lib/postgresql/data}"
BESIDE = "pgsql_tmp.havre-"
"""How restores to a moment call their directories beside the live data: pg_basebackup leaves out `pgsql_tmp…`."""
_DATABASES = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"
_CLOSED = "SELECT datname FROM pg_database WHERE NOT datallowconn AND NOT datistemplate ORDER BY datname"
_RELATIONS = (
    "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
)

_OWN_TABLES = f"{_RELATIONS} AND c.relkind = 'r'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """All databases of a server, or those named."""

    databases: tuple[str, ...] = ()
    name: str = "postgres"
    proof: str = "pg_restore reads the stored dump"

    def take(self, place: Place, keep: Keep) -> Taken:
        """Dump every database and the roles; each dump is read as it passes, then its stored head by pg_restore."""
        chosen, closed = self._chosen(place), query(place, "template1", _CLOSED).splitlines()
        parts, doubts = [], []
        for database in chosen:
            part, doubt = _dump(place, keep, database)
            parts.append(part)
            doubts += doubt
        return Taken(
            parts=tuple(parts),
            checks=(
                f"pg_dump ended with 0 for {', '.join(chosen)}",
                "every table's data is whole, its rows counted",
                *(f"{name} lets nobody in (datallowconn): no backup has it" for name in closed),
            ),
            doubts=tuple(doubts),
            globals_sql=answered(place, owner("pg_dumpall", "--globals-only")),
            version=query(place, "postgres", "SHOW server_version"),
        )

    def prove(self, place: Place, part: Part, stored: AbstractContextManager[BinaryIO]) -> str:
        """By pg_restore, which reads its table of contents."""
        return f"{part.total} rows, {check_stored(place, stored)} entries"

    def estimate(self, place: Place) -> int | None:
        """What the chosen databases take on disk, indexes included."""
        names = ", ".join(literal(name) for name in self._chosen(place))
        return int(query(place, "postgres", f"SELECT sum(pg_database_size(d)) FROM unnest(ARRAY[{names}]) d"))  # noqa: S608

    def _chosen(self, place: Place) -> tuple[str, ...]:
        present = databases(place)
        if missing := [name for name in self.databases if name not in present]:
            raise InputError(no_such_database(place, missing, present))
        return self.databases or _used(place, present)


def used_databases(place: Place) -> tuple[str, ...]:
    """Every database, but `postgres` only where something is in it, and none that a restore set aside."""
    return _used(place, databases(place))


def _used(place: Place, present: tuple[str, ...]) -> tuple[str, ...]:
    own = [name for name in present if not re.search(KEPT, name)]
    return tuple(name for name in own if name != "postgres" or query(place, name, _RELATIONS) != "0") or present


def databases(place: Place) -> tuple[str, ...]:
    """Every database that lets anybody in, templates left out."""
    return tuple(query(place, "template1", _DATABASES).splitlines())


def server_size(place: Place) -> int:
    """What all databases of the server take on disk."""
    return int(query(place, "template1", "SELECT sum(pg_database_size(oid)) FROM pg_database"))


def data_directory(place: Place) -> str:
    """Where the server keeps its files."""
    return query(place, "postgres", "SHOW data_directory")


def owner(*command: str) -> tuple[str, ...]:
    """`command` as the server's owner, whatever the image calls it."""
    return (*_AS_OWNER, *command)


def query(place: Place, database: str, sql: str) -> str:
    """What one statement answers: rows as lines, columns separated by a tab."""
    return answered(place, owner(*_PSQL, "-d", connection(database), "-c", sql)).rstrip("\n")


def execute_sql(place: Place, database: str, script: BinaryIO) -> None:
    """Run a script in one transaction; any error is a failure."""
    command = owner(
        "psql", "-X", "-q", "-d", connection(database), "-v", "ON_ERROR_STOP=1", "--single-transaction", "-f", "-"
    )
    answer = place.ask(command, stdin=script)
    if answer.exit_code != 0:
        raise FailedError(command_failed(place, command, answer.exit_code, answer.complaints))


def restore_into(
    place: Place, database: str, part: Part, source: AbstractContextManager[BinaryIO],
    counted: Callable[[], Mapping[str, int]] | None = None,
) -> None:  # fmt: skip
    """Make `database`, like the one the dump is of where that exists, and fill it.

    `counted` says the rows of each table where they are known only when the dump has passed. Any SQL error or a row
    too few raises FailedError; then the new database is dropped again.
    """
    create_like(place, database, part.name, part.recipe)
    try:
        with source as dump:
            _fill(place, database, dump)
        verify_rows(place, database, replace(part, counts=tuple(counted().items())) if counted else part)
    except BaseException:
        drop(place, database)
        raise


def _fill(place: Place, database: str, dump: BinaryIO) -> None:
    command = owner("pg_restore", "--exit-on-error", "--no-password", "-d", connection(database))
    done = place.stream(command, stdout=Collected(), stdin=dump)
    if done.exit_code != 0:
        raise FailedError(_restore_failed(place, database, done.exit_code, done.complaints))


def create_like(place: Place, database: str, model: str, recipe: Sequence[str] = ()) -> None:
    """An empty database like `model` where that exists, else as `recipe` says, else with the server's defaults.

    Alike are encoding, locale, owner, settings and the rights on the database itself.
    """
    live = tuple(query(place, "template1", asking(literal(model))).splitlines())
    for statement in statements(live or recipe, quoted(database)):
        query(place, "template1", statement)


def create_missing_roles(place: Place, globals_sql: str) -> tuple[str, ...]:
    """The roles of the snapshot that the server lacks, made as they were; roles that exist are left alone."""
    present = set(query(place, "template1", "SELECT rolname FROM pg_roles").splitlines())
    wanted = [_unquoted(match[1]) for match in re.finditer(r"^CREATE ROLE (.+);$", globals_sql, re.MULTILINE)]
    missing = [name for name in wanted if name not in present]
    names = {form for name in missing for form in (name, quoted(name))}
    lines = [line for line in globals_sql.splitlines() if (m := _ROLE_LINE.match(line)) and m[1] in names]
    if lines:
        execute_sql(place, "template1", io.BytesIO("\n".join(lines).encode()))
    return tuple(missing)


_ROLE_LINE = re.compile(r'(?:CREATE|ALTER) ROLE ("(?:[^"]|"")+"|[^ ;"]+)')


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def verify_rows(place: Place, database: str, part: Part) -> None:
    """Compare the rows of each table with what the dump held; raises FailedError with every difference."""
    found = _rows(place, database, [table for table, _ in part.counts])
    different = []
    for table, rows in part.counts:
        relation, count = found.get(table, ("", 0))
        if not relation:
            different.append(f"{table}: not there, the dump held {rows} rows")
        elif count < rows or (count > rows and not _is_of_extension(place, database, relation)):
            different.append(f"{table}: {count} rows, the dump held {rows}")
    if different:
        raise FailedError(rows_differ(place, database, different))


def _rows(place: Place, database: str, tables: Collection[str]) -> Mapping[str, tuple[str, int]]:
    """(how SQL writes it, its own rows) of each of these tables (`schema.table`) that exists."""
    names = query(place, database, _TABLES).splitlines()
    present = {shown: written for shown, _, written in (line.partition("\t") for line in names) if shown in tables}
    script = "".join(
        f"SELECT {literal(shown)}, {literal(written)}, count(*) FROM ONLY {written};\n"  # noqa: S608
        for shown, written in present.items()
    )
    answer = answered(place, owner(*_PSQL, "-d", connection(database), "-f", "-"), stdin=io.BytesIO(script.encode()))
    rows = (line.split("\t") for line in answer.splitlines())
    return {shown: (written, int(count)) for shown, written, count in rows}


def check_stored(place: Place, source: AbstractContextManager[BinaryIO]) -> int:
    """How many entries pg_restore sees in a stored dump; raises FailedError when it cannot read it."""
    listing = Collected()
    command = owner("pg_restore", "--list")
    with source as dump:
        done = place.stream(command, stdout=listing, stdin=dump)
    if done.exit_code != 0:
        raise FailedError(command_failed(place, command, done.exit_code, done.complaints))
    return sum(1 for line in listing.text.splitlines() if line and not line.startswith(";"))


def swap(place: Place, live: str, fresh: str, old: str) -> None:
    """`fresh` becomes `live` and `live` is kept as `old`; connections are ended, nobody sees half of it."""
    end_connections(place, live, fresh)
    statements = (
        f"ALTER DATABASE {quoted(live)} RENAME TO {quoted(old)}",
        f"ALTER DATABASE {quoted(fresh)} RENAME TO {quoted(live)}",
    )
    renamed = ("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-d", "template1")
    words = [word for statement in statements for word in ("-c", statement)]
    try:
        answered(place, owner(*renamed, *words))
    finally:
        allow_connections(place, [name for name in (live, old, fresh) if exists(place, name)])


def rename(place: Place, database: str, name: str) -> None:
    """Give a database that nobody uses yet its name."""
    query(place, "template1", f"ALTER DATABASE {quoted(database)} RENAME TO {quoted(name)}")


def kept_by_restores(place: Place) -> tuple[str, ...]:
    """The databases that were live before a restore took their place, and what a killed restore left unfinished."""
    pattern = literal(KEPT)
    return tuple(query(place, "template1", f"SELECT datname FROM pg_database WHERE datname ~ {pattern}").splitlines())  # noqa: S608


def directories_of_restores(place: Place) -> tuple[str, ...]:
    """What restores to a moment kept below the data directory, and what a killed one left unfinished."""
    listing = ("sh", "-c", f'cd "{_DATA}" && ls -d {BESIDE}* 2>/dev/null || true')
    return tuple(answered(place, listing).splitlines())


def sizes_of_restores(place: Place) -> tuple[tuple[str, int], ...]:
    """(name, bytes) of those, the largest first; nothing where none can be looked at."""
    answer = place.ask(("sh", "-c", f'cd "{_DATA}" && du -sk {BESIDE}* 2>/dev/null'))
    found = [(name, int(size) * 1024) for size, name in re.findall(r"^(\d+)\s+(\S+)$", answer.output, re.MULTILINE)]
    return tuple(sorted(found, key=lambda one: -one[1]))


def remove_directory(place: Place, name: str) -> None:
    """Remove one of those."""
    answered(place, ("sh", "-c", f'rm -rf "{_DATA}/$1"', "havre", name))


def end_connections(place: Place, *databases: str) -> None:
    """Let nobody in any more, and end who is."""
    for database in databases:
        query(place, "template1", f"ALTER DATABASE {quoted(database)} ALLOW_CONNECTIONS false")
    names = ", ".join(literal(database) for database in databases)
    sql = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ({names})"  # noqa: S608
    query(place, "template1", sql)


def allow_connections(place: Place, databases: Sequence[str]) -> None:
    """Let everybody in again."""
    for database in databases:
        query(place, "template1", f"ALTER DATABASE {quoted(database)} ALLOW_CONNECTIONS true")


def exists(place: Place, database: str) -> bool:
    """True when there is such a database."""
    return query(place, "template1", f"SELECT 1 FROM pg_database WHERE datname = {literal(database)}") == "1"  # noqa: S608


def drop(place: Place, database: str) -> None:
    """Remove a database that Havre made."""
    query(place, "template1", f"DROP DATABASE IF EXISTS {quoted(database)} WITH (FORCE)")


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def connection(database: str) -> str:
    """How PostgreSQL's programs are told a database: in a bare name `=` and `://` mean something else to them."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"{DATABASE}'{escaped}'"


def _dump(place: Place, keep: Keep, database: str) -> tuple[Part, list[str]]:
    reader = ArchiveReader()
    file = f"{as_file(database)}.pgdump{ENDING}"
    command = owner("pg_dump", "-Fc", "-Z0", "--no-password", "-d", connection(database))
    sizes = []

    def produce(sink: Writable) -> int:
        framed = Framed(sink, reader)
        produced(place, command)(framed)
        framed.finish()
        sizes.append(framed.size)
        return 0

    try:
        stored = keep(file, produce, lambda _: None)
        counts = reader.finish()
    except ArchiveError as error:
        raise FailedError(dump_not_whole(place, database, error)) from error
    doubts = [] if counts or query(place, database, _OWN_TABLES) == "0" else [f"{database}: no table has data in it"]
    passing = set(query(place, database, _UNLOGGED).splitlines())  # a crash empties them, which is no loss
    part = Part(
        name=database, file=file, size=sizes[-1], restic=stored.id,
        counts=tuple(sorted((table, rows) for table, rows in counts.items() if table not in passing)),
        recipe=tuple(query(place, "template1", asking(literal(database))).splitlines()),
    )  # fmt: skip
    return part, doubts


def _is_of_extension(place: Place, database: str, relation: str) -> bool:
    """An extension's own table holds its own rows too; a dump has only those that were added."""
    sql = f"SELECT 1 FROM pg_depend WHERE objid = {literal(relation)}::regclass AND deptype = 'e' LIMIT 1"  # noqa: S608
    return query(place, database, sql) == "1"


def _restore_failed(place: Place, database: str, code: int, complaints: str) -> Problem:
    return Problem(
        summary=f"pg_restore into {database} failed with exit code {code}",
        subject=place.name,
        evidence=tuple(complaints.strip().splitlines()[-6:]),
        effect="the live database was not touched",
        hint="the lines above are its own words; missing extensions and roles must exist on the server",
        code="restore-failed",
    )
