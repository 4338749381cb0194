"""Which migrations a MySQL server's databases have, and the shape of their schema: as `revisions.py` for PostgreSQL.

Statements that change a schema are in no transaction there: a migration that fails half-way leaves what it did, which
only the shape tells.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from havre.backups.migration_tools import TOOLS, Tool
from havre.backups.mysql_client import answered_sql, databases, literal, query, quoted
from havre.backups.place import Place
from havre.model.schema import SchemaState, Unfinished

_IMPATIENT = "SET SESSION lock_wait_timeout = 3, group_concat_max_len = 65536, sql_mode = 'ANSI';\n"
"""A lock that is still held makes it give up after seconds; ANSI is the SQL that the tools' expressions are in."""
_AGGREGATE = re.compile(r"string_agg\((.+?), ('[^']*')(?: ORDER BY ([^)]+))?\) FROM")
_BOOKS = ", ".join(sorted({literal(tool.table.lower()) for tool in TOOLS}))
_SHAPE = """
SELECT CONCAT(IF(TABLE_TYPE = 'VIEW', 'view ', 'table '), TABLE_SCHEMA, '.', TABLE_NAME)
    FROM information_schema.TABLES WHERE {own};
SELECT CONCAT('column ', TABLE_SCHEMA, '.', TABLE_NAME, '.', COLUMN_NAME, ' ', COLUMN_TYPE,
    IF(IS_NULLABLE = 'NO', ' not null', '')) FROM information_schema.COLUMNS WHERE {own};
SELECT DISTINCT CONCAT('index ', INDEX_NAME, ' of ', TABLE_SCHEMA, '.', TABLE_NAME)
    FROM information_schema.STATISTICS WHERE {own};
SELECT CONCAT('constraint ', CONSTRAINT_NAME, ' of ', TABLE_SCHEMA, '.', TABLE_NAME, ': ', CONSTRAINT_TYPE)
    FROM information_schema.TABLE_CONSTRAINTS WHERE {own};
SELECT CONCAT('trigger ', TRIGGER_NAME, ' of ', TRIGGER_SCHEMA, '.', EVENT_OBJECT_TABLE)
    FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA IN ({names});
SELECT CONCAT('function ', ROUTINE_SCHEMA, '.', ROUTINE_NAME, ', body ', LEFT(SHA2(ROUTINE_DEFINITION, 256), 8))
    FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA IN ({names});
"""


def schema_state(place: Place, names: Collection[str] = (), *, shape: bool = False) -> SchemaState:
    """What these databases (all of the server by default) are at; with `shape`, every object's definition too.

    Raises FailedError when the server cannot be asked.
    """
    present = databases(place)
    chosen = [name for name in present if name in names] or list(present)
    if not chosen:
        return SchemaState()
    heads, unfinished = [], []
    for database, tool, head, begun in _read_books(place, chosen):
        if head not in ("", "NULL"):
            heads.append((database, head))
        if begun not in ("", "NULL"):
            unfinished.append(Unfinished(what=f"{tool.name} in {database}: {begun}", repair=tool.repair))
    return SchemaState(
        heads=tuple(heads), unfinished=tuple(unfinished),
        shape=_shape(place, chosen) if shape else frozenset(),
    )  # fmt: skip


def _read_books(place: Place, chosen: Sequence[str]) -> Iterator[tuple[str, Tool, str, str]]:
    """(database, tool, its head, what it began and did not end) of every book that lies in one of these databases."""
    books = list(_books(_columns(place, chosen)))
    script = "".join(_asking(*book) for book in books)
    answers = answered_sql(place, "", _IMPATIENT + script).splitlines() if books else []
    for (database, _, tool), line in zip(books, answers, strict=True):
        head, _, begun = line.partition("\t")
        yield database, tool, head, begun


def _columns(place: Place, chosen: Sequence[str]) -> Mapping[tuple[str, str], set[str]]:
    """The columns of every table that has the name of a book, by (database, table)."""
    sql = (
        "SELECT TABLE_SCHEMA, TABLE_NAME, LOWER(COLUMN_NAME) FROM information_schema.COLUMNS"  # noqa: S608
        f" WHERE TABLE_SCHEMA IN ({_listed(chosen)}) AND LOWER(TABLE_NAME) IN ({_BOOKS}) ORDER BY 1, 2"
    )
    found: dict[tuple[str, str], set[str]] = {}
    for line in query(place, sql).splitlines():
        database, table, column = line.split("\t")
        found.setdefault((database, table), set()).add(column)
    return found


def _books(found: Mapping[tuple[str, str], set[str]]) -> Iterator[tuple[str, str, Tool]]:
    """(database, table, whose book it is): of the tools that fit, the one with the most columns of its own."""
    for (database, table), columns in found.items():
        wanted = {tool: {column.lower() for column in tool.columns} for tool in TOOLS if _is_of(tool, table)}
        if fitting := [tool for tool, own in wanted.items() if columns >= own]:
            yield database, table, max(fitting, key=lambda tool: len(tool.columns))


def _is_of(tool: Tool, table: str) -> bool:
    """Whatever the case: some servers keep names in small letters."""
    return tool.table.lower() == table.lower()


def _asking(database: str, table: str, tool: Tool) -> str:
    book = f"{quoted(database)}.{quoted(table)}"
    words = (_translated(words).replace("%s", book) for words in (tool.head, tool.unfinished or "NULL"))
    return f"SELECT {', '.join(words)};\n"


def _translated(words: str) -> str:
    """An expression over a tool's book in MySQL's own words."""

    def aggregate(found: re.Match[str]) -> str:
        order = f" ORDER BY {found[3]}" if found[3] else ""
        return f"GROUP_CONCAT({found[1]}{order} SEPARATOR {found[2]}) FROM"

    return _AGGREGATE.sub(aggregate, words.replace("::text", ""))


def _shape(place: Place, chosen: Sequence[str]) -> frozenset[str]:
    names = _listed(chosen)
    own = f"TABLE_SCHEMA IN ({names}) AND LOWER(TABLE_NAME) NOT IN ({_BOOKS})"
    return frozenset(query(place, _SHAPE.format(own=own, names=names)).splitlines())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(literal(name) for name in names)
