"""What is advised about a line of a Procfile names the file in which it can be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from havre.checks.case import Case
from havre.checks.registry import ALL
from havre.checks.report import run_checks
from havre.workflows.intent import Wish, read_app, read_intent

MORE = "services: {db: {image: 'postgres:16'}, worker: {mem_limit: 64m}}\n"


def hints(directory: Path, check: str) -> dict[str, str]:
    """Service -> what a check advises of it."""
    app = read_app(Wish(directory=str(directory)))
    intent = read_intent(Wish(directory=str(directory)), app)
    report = run_checks(Case.of(app, intent.project, intent.loaded), ALL, today="2026-11-20")
    return {problem.subject: problem.hint for problem in report.problems if problem.code == check}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "Procfile").write_text("web: gunicorn shop\nworker: celery\n")
    (tmp_path / "havre.yaml").write_text("app: shop\nroutes: [{host: shop.example, to: 'web:8000'}]\n")
    return tmp_path


def test_a_procfile_alone_is_told_of_the_compose_file_that_may_stand_beside_it(tree: Path) -> None:
    beside = "(under its name in a compose.yaml beside the Procfile, which `compose: [Procfile, compose.yaml]` adds)"
    assert hints(tree, "memory-limit")["web"] == f"add `mem_limit` {beside}, with room above what was seen"
    assert beside in hints(tree, "health-missing")["web"]


def test_where_one_stands_beside_it_that_one_is_named_and_its_own_services_need_no_place(tree: Path) -> None:
    (tree / "more.yaml").write_text(MORE)
    with (tree / "havre.yaml").open("a") as manifest:
        manifest.write("compose: [Procfile, more.yaml]\n")
    found = hints(tree, "memory-limit")
    assert found["web"] == "add `mem_limit` (under its name in more.yaml), with room above what was seen"
    assert found["db"] == "add `mem_limit`, with room above what was seen"
    assert "worker" not in found
