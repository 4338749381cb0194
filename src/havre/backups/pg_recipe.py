"""What a database is beside its content: owner, encoding, locale, settings, rights; as statements that make one alike.

`pg_dump` leaves these out unless the database keeps its name, and a restore gives it another one first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NAME = "@database@"
"""Stands for the new database's name."""
PLAIN = (f"CREATE DATABASE {NAME} TEMPLATE template0",)
"""Where nothing is known of it: the server's defaults."""
RECIPE = """
SELECT format('CREATE DATABASE {name} TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L OWNER %I',
           pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, pg_get_userbyid(d.datdba))
       || format(' CONNECTION LIMIT %s', d.datconnlimit)
       || CASE to_jsonb(d) ->> 'datlocprovider' WHEN 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L',
           coalesce(to_jsonb(d) ->> 'daticulocale', to_jsonb(d) ->> 'datlocale')) ELSE '' END
    FROM pg_database d WHERE d.datname = {model}
UNION ALL
SELECT format('ALTER %sDATABASE {name} SET %I TO ',
           CASE setrole WHEN 0 THEN '' ELSE format('ROLE %I IN ', pg_get_userbyid(setrole)) END, setting)
       || CASE WHEN setting IN ({lists}) THEN replace(value, '""', $$''$$) ELSE quote_literal(value) END
    FROM (SELECT setrole, split_part(one, '=', 1) AS setting, substr(one, strpos(one, '=') + 1) AS value
        FROM pg_database d JOIN pg_db_role_setting s ON s.setdatabase = d.oid, unnest(s.setconfig) one
        WHERE d.datname = {model}) settings
UNION ALL
SELECT 'REVOKE ALL ON DATABASE {name} FROM PUBLIC'
    FROM pg_database d WHERE d.datname = {model} AND d.datacl IS NOT NULL
UNION ALL
SELECT format('GRANT %s ON DATABASE {name} TO %s%s', a.privilege_type,
           CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(a.grantee)) END,
           CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = {model}
"""
"""Settings that are lists are kept by PostgreSQL as SQL reads them; all others as bare text."""
_LISTS = (
    "search_path",
    "temp_tablespaces",
    "local_preload_libraries",
    "session_preload_libraries",
    "shared_preload_libraries",
    "unix_socket_directories",
)


def asking(model: str) -> str:
    """The query for the recipe of a database; `model` is its name as an SQL string. No row where there is none."""
    lists = ", ".join(f"'{name}'" for name in _LISTS)
    return RECIPE.replace("{name}", NAME).replace("{model}", model).replace("{lists}", lists)


def statements(recipe: Sequence[str], database: str) -> Iterable[str]:
    """The recipe for a database of that name (as an SQL identifier)."""
    return (line.replace(NAME, database) for line in recipe or PLAIN)
