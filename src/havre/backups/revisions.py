"""Which migrations a PostgreSQL server's databases have, read where the tools that people use write it down.

The same look tells what a tool began and did not end, and the shape of the schema, so that a migration that failed
without a word in its books is noticed too.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator

from havre.backups import postgres
from havre.backups.migration_tools import TOOLS
from havre.backups.place import Place, command_failed
from havre.errors import FailedError
from havre.model.schema import SchemaState, Unfinished

_OURS = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"


def schema_state(place: Place, databases: Collection[str] = (), *, shape: bool = False) -> SchemaState:
    """What these databases (all of the server by default) are at; with `shape`, every object's definition too.

    Raises FailedError when the server cannot be asked. A lock that is still held makes it give up after seconds.
    """
    present = postgres.databases(place)
    chosen = [name for name in present if name in databases] or present
    script = "".join(_script(name, shape=shape) for name in chosen)
    command = postgres.owner("psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", "postgres")
    answer = place.ask(command, stdin=io.BytesIO(script.encode()))
    if answer.exit_code != 0:
        raise FailedError(command_failed(place, command[4:], answer.exit_code, answer.complaints))
    return _state(answer.output.splitlines(), several=len(chosen) > 1)


def _script(database: str, *, shape: bool) -> str:
    """psql's script for one database: each line it answers begins with what it is."""
    name = database.replace("\\", "\\\\").replace("'", "''")
    lines = [
        f"\\connect '{name}'",
        "SET lock_timeout = '3s'; SET statement_timeout = '20s';",
        f"SELECT 'database', {postgres.literal(database)};",
        f"{_BOOKS} \\gexec",
    ]
    return "\n".join([*lines, _SHAPE if shape else "", ""])


def _rows_of_tools() -> Iterator[str]:
    for tool in TOOLS:
        columns = ",".join(tool.columns)
        unfinished = tool.unfinished or "NULL"
        words = (tool.name, tool.table, "{" + columns + "}", tool.head, unfinished)
        yield f"({', '.join(postgres.literal(word) for word in words)})"


_BOOKS = (
    "SELECT format('SELECT ''book'', %1$L, ' || replace(head, '%s', '%2$s') || ', '"  # noqa: S608
    " || replace(unfinished, '%s', '%2$s'), tool, relation)"
    " FROM (SELECT DISTINCT ON (relation) tool, relation, head, unfinished FROM"
    " (SELECT c.relname AS name, format('%I.%I', n.nspname, c.relname) AS relation,"
    " array_agg(a.attname::text) AS columns"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid"
    f" WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND {_OURS} GROUP BY 1, 2) books"
    f' JOIN (VALUES {", ".join(_rows_of_tools())}) AS tools (tool, "table", wanted, head, unfinished)'
    ' ON name = "table" AND columns @> wanted::text[]'
    " ORDER BY relation, cardinality(wanted::text[]) DESC) known"
)
_BOOK_TABLES = ", ".join(sorted({postgres.literal(tool.table) for tool in TOOLS}))
_IS_OWN = (
    f"c.relname NOT IN ({_BOOK_TABLES}) AND {_OURS}"  # noqa: S608
    " AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"
)
_SHAPE = f"""
SELECT 'shape', format('%s %s.%s', CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
    ELSE 'table' END, n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {_IS_OWN};
SELECT 'shape', format('column %s.%s.%s %s%s', n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
    CASE WHEN a.attnotnull THEN ' not null' ELSE '' END)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND {_IS_OWN};
SELECT 'shape', format('index %s.%s of %s.%s%s', n.nspname, i.relname, n.nspname, c.relname,
    CASE WHEN x.indisvalid THEN '' ELSE ' (invalid)' END)
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_IS_OWN};
SELECT 'shape', format('constraint %s of %s.%s: %s', k.conname, n.nspname, c.relname, pg_get_constraintdef(k.oid))
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {_IS_OWN};
SELECT 'shape', format('trigger %s of %s.%s', t.tgname, n.nspname, c.relname)
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT t.tgisinternal AND {_IS_OWN};
SELECT 'shape', format('function %s.%s, body %s', n.nspname, p.proname, left(md5(p.prosrc), 8))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE {_OURS} AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e');
SELECT 'shape', format('value %s of type %s.%s', e.enumlabel, n.nspname, t.typname)
    FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE {_OURS};
"""  # noqa: S608


def _state(lines: list[str], *, several: bool) -> SchemaState:
    database, heads, unfinished, shape = "", [], [], []
    repairs = {tool.name: tool.repair for tool in TOOLS if tool.repair}
    for line in lines:
        kind, _, rest = line.partition("\t")
        fields = rest.split("\t")
        if kind == "database":
            database = rest
        elif kind == "shape":
            shape.append(f"{rest} in {database}" if several else rest)
        elif kind == "book" and len(fields) >= 3:
            if fields[1]:
                heads.append((database, fields[1]))
            if fields[2]:
                what = f"{fields[0]} in {database}: {fields[2]}"
                unfinished.append(Unfinished(what=what, repair=repairs.get(fields[0], "")))
    return SchemaState(heads=tuple(heads), unfinished=tuple(unfinished), shape=frozenset(shape))
