"""The `release:` line of a Procfile is a migration, unless the manifest has one."""

from __future__ import annotations

from pathlib import Path

import pytest

from havre.model.app import App, Migration, ProcessSpec
from havre.model.project import Build, Project, Service
from havre.workflows.intent import Intent
from havre.workflows.release_phase import with_release_phase


def _intent(directory: Path, line: str, **app: object) -> Intent:
    (directory / "Procfile").write_text(f"# how it runs\nweb: gunicorn app\n\nrelease:  {line}\n")
    services = tuple(
        Service(name=name, image="x", build=Build(context=str(directory))) for name in ("database-seed", "web")
    )
    settings: dict[str, object] = {"name": "shop", "directory": str(directory), **app}
    return Intent(app=App(**settings), project=Project(name="shop", services=services), files={})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("alembic upgrade head", ("alembic", "upgrade", "head")),
        ("./manage.py migrate --database 'the main one'", ("./manage.py", "migrate", "--database", "the main one")),
        ("flask db upgrade && ./seed.sh $HOST", ("/bin/sh", "-c", "flask db upgrade && ./seed.sh $HOST")),
    ],
)
def test_a_shared_tree_is_migrated_once_by_its_first_service(
    tmp_path: Path, line: str, command: tuple[str, ...]
) -> None:
    assert with_release_phase(_intent(tmp_path, line)).app.migration == Migration(service="database-seed", run=command)


def test_the_manifest_wins(tmp_path: Path) -> None:
    own = Migration(service="web", run=("true",))
    assert with_release_phase(_intent(tmp_path, "false", migration=own)).app.migration == own


def test_a_source_that_the_manifest_names_is_where_the_procfile_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    specs = tuple(ProcessSpec(service=name, source="api") for name in ("database-seed", "web"))
    assert with_release_phase(_intent(tmp_path, "true", processes=specs)).app.migration is None
