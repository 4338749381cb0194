"""The migration tools that people use, and where each writes down how far it got; data, read by `revisions.py`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A migration tool's book: its table, columns that tell it from others' of that name, and what they mean.

    `head` and `unfinished` are PostgreSQL's expressions over the table `%s`, which `mysql_revisions.py` translates;
    `repair` is what its users run after a failure.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    head: str
    unfinished: str = ""
    repair: str = ""


def _last(column: str, by: str = "id") -> str:
    return f"(SELECT {column}::text FROM %s ORDER BY {by} DESC LIMIT 1)"  # noqa: S608


def _max(column: str) -> str:
    return f"(SELECT max({column})::text FROM %s)"  # noqa: S608


TOOLS = (
    Tool(
        name="alembic",
        table="alembic_version",
        columns=("version_num",),
        head="(SELECT string_agg(version_num, '+' ORDER BY version_num) FROM %s)",
    ),
    Tool(
        name="django",
        table="django_migrations",
        columns=("app", "name", "applied"),
        head=(
            "(SELECT string_agg(app || '.' || name, '+' ORDER BY id DESC) FROM %s"
            " WHERE id IN (SELECT max(id) FROM %s GROUP BY app))"
        ),
    ),
    Tool(
        name="prisma",
        table="_prisma_migrations",
        columns=("migration_name", "finished_at", "rolled_back_at"),
        head="(SELECT max(migration_name) FROM %s WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL)",
        unfinished=(
            "(SELECT string_agg(migration_name, ', ') FROM %s WHERE finished_at IS NULL AND rolled_back_at IS NULL)"
        ),
        repair="npx prisma migrate resolve --rolled-back NAME (or --applied NAME)",
    ),
    Tool(name="knex", table="knex_migrations", columns=("name", "batch"), head=_last("name")),
    Tool(
        name="knex",
        table="knex_migrations_lock",
        columns=("is_locked",),
        head="NULL",
        unfinished="(SELECT 'its lock is held' FROM %s WHERE is_locked = 1 LIMIT 1)",
        repair="npx knex migrate:unlock",
    ),
    Tool(
        name="migrate",
        table="schema_migrations",
        columns=("version", "dirty"),
        head=_max("version"),
        unfinished="(SELECT string_agg(version::text, ', ') FROM %s WHERE dirty)",
        repair="migrate … force VERSION, with the last version that is whole",
    ),
    Tool(name="rails", table="schema_migrations", columns=("version",), head=_max("version")),
    Tool(
        name="flyway",
        table="flyway_schema_history",
        columns=("version", "success", "installed_rank"),
        head="(SELECT version FROM %s WHERE success ORDER BY installed_rank DESC LIMIT 1)",
        unfinished="(SELECT string_agg(coalesce(version, script), ', ') FROM %s WHERE NOT success)",
        repair="flyway repair",
    ),
    Tool(
        name="liquibase", table="databasechangelog", columns=("id", "orderexecuted"), head=_last("id", "orderexecuted")
    ),
    Tool(
        name="liquibase",
        table="databasechangeloglock",
        columns=("locked", "lockedby"),
        head="NULL",
        unfinished="(SELECT 'its lock is held by ' || coalesce(lockedby, 'nobody') FROM %s WHERE locked LIMIT 1)",
        repair="liquibase release-locks",
    ),
    Tool(name="laravel", table="migrations", columns=("migration", "batch"), head=_last("migration")),
    Tool(name="typeorm", table="migrations", columns=("timestamp", "name"), head=_last("name")),
    Tool(name="sequelize", table="SequelizeMeta", columns=("name",), head=_max("name")),
    Tool(name="drizzle", table="__drizzle_migrations", columns=("hash", "created_at"), head=_last("left(hash, 12)")),
    Tool(name="mikro-orm", table="mikro_orm_migrations", columns=("name", "executed_at"), head=_last("name")),
    Tool(name="node-pg-migrate", table="pgmigrations", columns=("name", "run_on"), head=_last("name")),
    Tool(
        name="goose",
        table="goose_db_version",
        columns=("version_id", "is_applied"),
        head="(SELECT version_id::text FROM %s WHERE is_applied ORDER BY id DESC LIMIT 1)",
    ),
    Tool(
        name="sqlx",
        table="_sqlx_migrations",
        columns=("version", "success"),
        head="(SELECT max(version)::text FROM %s WHERE success)",
        unfinished="(SELECT string_agg(version::text, ', ') FROM %s WHERE NOT success)",
        repair="delete that row once what it changed is taken back by hand",
    ),
    Tool(
        name="atlas",
        table="atlas_schema_revisions",
        columns=("version", "applied", "total"),
        head="(SELECT max(version) FROM %s WHERE applied = total)",
        unfinished="(SELECT string_agg(version, ', ') FROM %s WHERE applied < total)",
        repair="atlas migrate set VERSION",
    ),
    Tool(name="doctrine", table="doctrine_migration_versions", columns=("version",), head=_max("version")),
    Tool(name="entity framework", table="__EFMigrationsHistory", columns=("MigrationId",), head=_max('"MigrationId"')),
    Tool(name="diesel", table="__diesel_schema_migrations", columns=("version",), head=_max("version")),
    Tool(name="refinery", table="refinery_schema_history", columns=("version", "checksum"), head=_max("version")),
    Tool(name="aerich", table="aerich", columns=("version", "app"), head=_last("version")),
    Tool(
        name="yoyo",
        table="_yoyo_migration",
        columns=("migration_id", "applied_at_utc"),
        head=_last("migration_id", "applied_at_utc"),
    ),
)
