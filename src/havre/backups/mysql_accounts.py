"""Who may log in to a MySQL or MariaDB server, and what for: kept beside its dumps, made again where missing."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import suppress

from havre.backups.mysql_client import answered_sql, literal, query, quoted, tried_sql
from havre.backups.place import Place
from havre.errors import HavreError

_WRITTEN = "IF({0}Host = '', QUOTE({0}User), CONCAT(QUOTE({0}User), '@', QUOTE({0}Host)))"
"""An account as SQL writes it; MariaDB's roles have no host."""
_ALL = f"SELECT DISTINCT {_WRITTEN.format('')} FROM mysql.user"  # noqa: S608
_PEOPLE = (
    f"{_ALL} WHERE User NOT IN ('', 'root', 'mysql.sys', 'mysql.session', 'mysql.infoschema', 'mariadb.sys', 'PUBLIC')"
    " ORDER BY 1"
)
_HASHES_AS_HEX = "/*!80017 SET SESSION print_identified_with_as_hex = 1 */;\n"
_DEFAULT_ROLE = re.compile(r" DEFAULT ROLE (.+?)(?= REQUIRE |$)")
_MARK = "-- "


def accounts(place: Place) -> str:
    """The statements that make the accounts and roles which people made, and give them their rights, one by one."""
    names = query(place, _PEOPLE).splitlines()
    script = "".join(
        f"SELECT CONCAT('{_MARK}', {literal(name)});\n"
        + (f"SHOW CREATE USER {name};\n" if "@" in name else f"SELECT CONCAT('CREATE ROLE ', {literal(name)});\n")
        + f"SHOW GRANTS FOR {name};\n"
        for name in names
    )
    return "".join(_as_statements(answered_sql(place, "", _HASHES_AS_HEX + script)))


def make_missing(place: Place, globals_sql: str) -> tuple[str, ...]:
    """The accounts of the snapshot that the server lacks, made as they were; those that exist are left alone.

    Rights on tables that are not there yet are not given: see `give_rights`. Any other error raises FailedError,
    and none was made.
    """
    present = set(query(place, _ALL).splitlines())
    blocks = {name: statements for name, statements in _blocks(globals_sql) if name not in present}
    made = "".join(line for lines in blocks.values() for line in lines if line.startswith("CREATE "))
    if made:
        try:
            answered_sql(place, "", made)
        except HavreError:
            with suppress(HavreError):
                forget(place, blocks)
            raise
        give_rights(place, globals_sql, blocks)
    return tuple(blocks)


def give_rights(place: Place, globals_sql: str, names: Collection[str]) -> tuple[str, ...]:
    """Give these accounts what the snapshot says; returns what the server says against any of it."""
    blocks = [lines for name, lines in _blocks(globals_sql) if name in names]
    rights = "".join(line for lines in blocks for line in lines if not line.startswith("CREATE "))
    return tuple(tried_sql(place, "", rights).complaints.splitlines())


def forget(place: Place, names: Collection[str]) -> None:
    """Remove accounts that were made for nothing."""
    tried_sql(place, "", "".join(f"DROP {'USER' if '@' in name else 'ROLE'} {name};\n" for name in names))


def rights_on(place: Place, database: str) -> tuple[str, ...]:
    """The statements that give every account its rights on a database as a whole; its name is as SHOW GRANTS has it."""
    return tuple(line for line in _grants_about(place, "db", database) if _ON_DATABASE.search(line))


def rights_on_code(place: Place, database: str) -> tuple[str, ...]:
    """The statements that give every account its rights on single routines: these go when a routine is dropped."""
    lines = _grants_about(place, "procs_priv", database)
    return tuple(line for line in lines if re.search(r" ON (?:PROCEDURE|FUNCTION|PACKAGE(?: BODY)?) ", line))


def give_alike(place: Place, model: str, database: str) -> None:
    """Give every account the rights on `database` that it has on `model`."""
    own = f" ON {quoted(database)}.* TO "  # not a pattern: a backslash in it is one
    statements = (_ON_DATABASE.sub(lambda _: own, line, 1) for line in rights_on(place, model))
    answered_sql(place, "", "".join(f"{line};\n" for line in statements))


def take_rights(place: Place, database: str) -> None:
    """Nobody has rights any more on a database that goes: they would stay."""
    for line in rights_on(place, database):
        [(what, grantee)] = re.findall(r" ON (\S.*?\.\*) TO (.+?)(?: WITH .*)?$", line)
        words = ("ALL PRIVILEGES", "GRANT OPTION")
        tried_sql(place, "", "".join(f"REVOKE {word} ON {what} FROM {grantee};\n" for word in words))


_ON_DATABASE = re.compile(r" ON `(?:[^`]|``)+`\.\* TO ")


def _grants_about(place: Place, table: str, database: str) -> Iterator[str]:
    """SHOW GRANTS' lines about one database, of all accounts that `mysql.TABLE` has anything about it of."""
    escaped = database.replace("_", "\\_").replace("%", "\\%")
    names = ", ".join(literal(name) for name in dict.fromkeys((database, escaped)))
    sql = f"SELECT DISTINCT {_WRITTEN.format('')} FROM mysql.{table} WHERE Db IN ({names})"  # noqa: S608
    holders = query(place, sql).splitlines()
    # one that is gone may have left rows there
    lines = tried_sql(place, "", "".join(f"SHOW GRANTS FOR {name};\n" for name in holders)).output.splitlines()
    wanted = tuple(f"{quoted(name)}." for name in (database, escaped))
    return (line for line in lines if any(name in line for name in wanted))


def _as_statements(answer: str) -> Iterator[str]:
    """Default roles are given last: when an account is made, its roles may be missing still."""
    later = ""
    for line in answer.splitlines():
        if line.startswith(_MARK):
            yield f"{later}{line}\n"
            name, later = line.removeprefix(_MARK), ""
        elif line.startswith("CREATE USER ") and (roles := _DEFAULT_ROLE.search(line)):
            later = f"SET DEFAULT ROLE {roles[1]} TO {name};\n"
            yield f"{_DEFAULT_ROLE.sub('', line)};\n"
        else:
            yield f"{line};\n"
    yield later


def _blocks(globals_sql: str) -> Iterator[tuple[str, list[str]]]:
    """(account, its statements) of every account of a snapshot."""
    for block in re.split(rf"^{_MARK}", globals_sql, flags=re.MULTILINE)[1:]:
        name, *lines = block.splitlines(keepends=True)
        yield name.strip(), lines
