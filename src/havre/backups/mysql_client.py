"""What is asked of a MySQL or MariaDB server, by the programs that its own image has."""

from __future__ import annotations

import io

from havre.backups.place import DATABASE, Answer, Place, answered

_AS_ROOT = (
    "sh",
    "-c",
    """
    for name in MARIADB_ROOT_PASSWORD MYSQL_ROOT_PASSWORD; do
        eval "value=\\${$name:-} file=\\${${name}_FILE:-}"
        if [ -z "$value" ] && [ -n "$file" ]; then value="$(cat "$file")" || exit; fi
        if [ -n "$value" ]; then MYSQL_PWD="$value"; export MYSQL_PWD; break; fi
    done
    user="${MARIADB_ROOT_USER:-${MYSQL_ROOT_USER:-root}}"
    unset MYSQL_HOST MYSQL_TCP_PORT name value file
    tool="$1" database="${2#dbname=}"
    shift 2
    case "$tool" in
        mysql) own=mariadb ;;
        mysqldump) own=mariadb-dump ;;
        *) own=mariadb-admin ;;
    esac
    command -v "$own" > /dev/null 2>&1 || own="$tool"
    case "$tool $("$own" --help 2> /dev/null)" in
        mysql\\ *print-query-on-error*) set -- --skip-print-query-on-error "$@" ;;
        mysqldump\\ *set-gtid-purged*) set -- --set-gtid-purged=OFF "$@" ;;
    esac
    exec "$own" --user="$user" "$@" ${database:+--} ${database:+"$database"}
    """,
    "havre",
)
"""Run one of its programs, told its database as `dbname=…`, with the image's own variables: no password leaves the
replica, and none is in a command line; where the image has none, the server may know root by the socket. MariaDB's
client must be told to keep rows out of its complaints (one from before August 2024 does, and knows no such option), and
MySQL's dump to leave out the server's transactions."""

DUMP = (
    "--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob", "--opt", "--tz-utc",
    "--comments", "--skip-dump-date", "--no-tablespaces", "--skip-compact", "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",
)  # fmt: skip
_CLIENT = (
    "--batch", "--raw", "--skip-column-names", "--default-character-set=utf8mb4", "--max-allowed-packet=1G",
    "--init-command=SET SESSION sql_mode = ''",
)  # fmt: skip
"""Whatever SQL the server speaks by default (ANSI has other quotes), this is what names and statements are read in."""
OWN_MODE = "SET SESSION sql_mode = @@GLOBAL.sql_mode;\n"
"""Before a statement of the user's."""
_SYSTEM = ("mysql", "information_schema", "performance_schema", "sys", "ndbinfo")
TABLE_TYPES = "'BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE'"
NAME = "@database@"
"""Stands for the database's name in a recipe."""


def program(name: str, database: str, *options: str) -> tuple[str, ...]:
    """`mysql`, `mysqldump` or `mysqladmin` as root, by whatever name the image has it."""
    return (*_AS_ROOT, name, f"{DATABASE}{database}", *options)


def query(place: Place, sql: str, database: str = "") -> str:
    """What some statements answer: rows as lines, columns separated by a tab."""
    return answered_sql(place, database, sql).rstrip("\n")


def answered_sql(place: Place, database: str, script: str) -> str:
    """What a script answers; the first error is a failure. Nothing is asked by an empty one."""
    if not script:
        return ""
    stdin = io.BytesIO(script.encode(errors="surrogateescape"))
    return answered(place, program("mysql", database, *_CLIENT), stdin=stdin)


def tried_sql(place: Place, database: str, script: str) -> Answer:
    """The same, past statements that fail: `complaints` says which."""
    if not script:
        return Answer(exit_code=0, output="")
    stdin = io.BytesIO(script.encode(errors="surrogateescape"))
    return place.ask(program("mysql", database, *_CLIENT, "--force"), stdin=stdin)


def client(database: str) -> tuple[str, ...]:
    """The command that runs a script in a database, and ends at the first error."""
    return program("mysql", database, *_CLIENT)


def databases(place: Place) -> tuple[str, ...]:
    """Every database that is not the server's own."""
    names = ", ".join(literal(name) for name in _SYSTEM)
    sql = "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA"
    where = f"WHERE SCHEMA_NAME NOT IN ({names}) AND SCHEMA_NAME NOT LIKE '#mysql50#%'"
    return tuple(query(place, f"{sql} {where} ORDER BY 1").splitlines())


def sizes(place: Place) -> tuple[tuple[str, int], ...]:
    """(database, bytes) of all, the largest first."""
    sql = (
        "SELECT TABLE_SCHEMA, CAST(SUM(COALESCE(DATA_LENGTH, 0) + COALESCE(INDEX_LENGTH, 0)) AS UNSIGNED)"
        " FROM information_schema.TABLES GROUP BY 1 ORDER BY 2 DESC"
    )
    rows = (line.rpartition("\t") for line in query(place, sql).splitlines())
    return tuple((name, int(size)) for name, _, size in rows)


def tables(place: Place, database: str) -> dict[str, str]:
    """The engine of every table and sequence of a database, by name."""
    sql = (
        "SELECT COALESCE(ENGINE, ''), TABLE_NAME FROM information_schema.TABLES"  # noqa: S608
        f" WHERE TABLE_SCHEMA = {literal(database)} AND TABLE_TYPE IN ({TABLE_TYPES})"
    )
    rows = (line.partition("\t") for line in query(place, sql).splitlines())
    return {name: engine for engine, _, name in rows}


def without_history(place: Place, database: str) -> tuple[str, ...]:
    """Its tables that keep what their rows were before: a dump has the rows of today only."""
    sql = (
        "SELECT TABLE_NAME FROM information_schema.TABLES"  # noqa: S608
        f" WHERE TABLE_SCHEMA = {literal(database)} AND TABLE_TYPE = 'SYSTEM VERSIONED' ORDER BY 1"
    )
    return tuple(query(place, sql).splitlines())


def exists(place: Place, database: str) -> bool:
    """True when there is such a database."""
    sql = f"SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {literal(database)}"  # noqa: S608
    return query(place, sql) == "1"


def quoted(name: str) -> str:
    """An SQL identifier."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def recipe_of(place: Place, database: str) -> tuple[str, ...]:
    """The statement that makes a database with the same character set and collation; nothing where there is none."""
    if not exists(place, database):
        return ()
    created = query(place, f"SHOW CREATE DATABASE {quoted(database)}").partition("\t")[2]
    return (created.replace(quoted(database), NAME, 1),)
