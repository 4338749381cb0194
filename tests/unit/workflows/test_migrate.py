"""What is read from a migration's words: the command that asks for the revision, and the revision itself."""

from __future__ import annotations

import shlex

import pytest

from havre.model.app import Migration
from havre.workflows.migrate import filled, inferred_head, revision_in


@pytest.mark.parametrize(
    ("run", "head"),
    [
        ("alembic upgrade head", "alembic current"),
        ("poetry run alembic -c db/alembic.ini upgrade head", "poetry run alembic -c db/alembic.ini current"),
        ("flask db upgrade", "flask db current"),
        ("bin/rails db:migrate", "bin/rails db:version"),
        ("npx knex migrate:latest --env production", "npx knex migrate:currentVersion"),
        ("migrate -path db -database $URL up", "migrate -path db -database $URL version"),
        ("python seed.py", None),
    ],
)
def test_the_tool_in_a_migration_is_asked_for_its_revision(run: str, head: str | None) -> None:
    found = inferred_head(Migration(service="web", run=tuple(shlex.split(run))))
    assert (" ".join(found) if found else None) == head


def test_the_revision_is_the_last_line_without_the_tools_own_words() -> None:
    assert revision_in(["INFO  [alembic] Context impl", "", "3f2a1c (head)", " "]) == "3f2a1c"
    assert revision_in(["", " "]) is None


def test_an_undo_may_name_where_it_leads() -> None:
    assert filled(("alembic", "downgrade", "{revision}"), "3f2a1c") == ("alembic", "downgrade", "3f2a1c")
