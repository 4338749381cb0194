"""A Procfile alone is a project: what its lines become, and how its mistakes are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from havre.compose.lower import lower
from havre.engines.procfile import read_procfile
from havre.errors import InputError
from havre.manifest import parse_app
from havre.manifest.infer import infer_manifest
from havre.model.app import App, SecretSource
from havre.model.project import Project
from havre.model.server import BuildFact
from havre.workflows.compose_files import named_files
from havre.workflows.intent import Wish, load_compose

PROCFILE = """\
# how it runs
web: gunicorn app:app --bind 0.0.0.0:$PORT
release: flask db upgrade

worker: celery -A tasks worker --queue 'mail, slow'
"""


def _project(directory: Path, text: str = PROCFILE, **settings: object) -> Project:
    (directory / "Procfile").write_text(text)
    app = App(name="shop", directory=str(directory), **settings)  # type: ignore[arg-type]
    return lower(load_compose(Wish(variables={}), app, strict=True), instance="shop")


def test_each_process_is_a_service_of_the_same_tree_and_only_web_has_a_port(tmp_path: Path) -> None:
    web, worker = _project(tmp_path).services
    assert (web.name, worker.name) == ("web", "worker")
    assert {service.build.context for service in (web, worker) if service.build} == {str(tmp_path)}
    assert (web.expose, worker.expose) == (("8000",), ())
    assert (dict(web.environment)["PORT"], "PORT" in dict(worker.environment)) == ("8000", False)
    assert web.command == ("/bin/sh", "-c", "gunicorn app:app --bind 0.0.0.0:$PORT")
    assert worker.command == ("celery", "-A", "tasks", "worker", "--queue", "mail, slow")
    assert web.restart.policy == worker.restart.policy == "unless-stopped"


def test_every_process_has_the_variables_of_the_env_file_and_the_secrets(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=5000\nMAIL_FROM=shop@example.org\nAPI_KEY=k$e$y\n")
    secrets = (SecretSource(name="API_KEY"),)
    web, worker = (dict(service.environment) for service in _project(tmp_path, secrets=secrets).services)
    assert (web["MAIL_FROM"], worker["MAIL_FROM"]) == ("shop@example.org",) * 2
    assert (web["PORT"], web["API_KEY"], worker["API_KEY"]) == ("5000", "k", "k")


def test_an_env_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    (tmp_path / ".env.prod").write_text("A=1\n")
    web = _project(tmp_path, "web: ./run\n", env_files=(".env.prod",)).services[0]
    assert dict(web.environment)["A"] == "1"
    with pytest.raises(InputError, match=r"\.env\.missing"):
        _project(tmp_path, env_files=(".env.missing",))


def test_a_compose_file_beside_it_is_the_project_unless_both_are_named(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {db: {image: 'postgres:16'}, web: {environment: {A: '1'}}}\n")
    (tmp_path / "Procfile").write_text(PROCFILE)
    app = App(name="shop", directory=str(tmp_path))
    assert named_files(app) == ()
    both = _project(tmp_path, compose=("Procfile", "compose.yaml"))
    assert {service.name for service in both.services} == {"db", "web", "worker"}
    assert dict(both.service("web").environment) == {"A": "1", "PORT": "8000"}


def test_lines_that_are_no_process_are_told_all_at_once_with_their_places(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        _project(tmp_path, "web python app.py\nworker: ./work\nclock:\n")
    assert [str(problem.at) for problem in caught.value.problems] == ["Procfile:1", "Procfile:3"]
    assert "`web: python app.py`" in caught.value.problems[0].hint


def test_a_name_used_twice_is_told_in_its_own_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Procfile:3:.*web"):
        _project(tmp_path, "web: a\nworker: b\nweb: c\n")


def test_a_procfile_without_a_lasting_process_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no process that keeps running"):
        _project(tmp_path, "# nothing yet\nrelease: ./migrate\n")


def test_what_is_no_process_line_is_passed_over_where_compose_says_what_runs(tmp_path: Path) -> None:
    assert read_procfile(tmp_path) == ()
    (tmp_path / "Procfile").write_text("web: a --port=$PORT\nnot a line\n  : x\nempty:\nclock_2: b:c\n")
    assert read_procfile(tmp_path) == (("web", "a --port=$PORT"), ("clock_2", "b:c"))


def test_the_first_manifest_routes_web_and_says_why_no_docker(tmp_path: Path) -> None:
    project = _project(tmp_path, "web: ./serve\nworker: ./work\n")
    fact = BuildFact(service="web", dockerfile="Dockerfile", files=frozenset({"Procfile"}))
    text = infer_manifest(project, app="shop", compose=("Procfile",), builds=(fact,))
    app = parse_app(text, directory=str(tmp_path))
    assert (app.compose, app.engine) == (("Procfile",), "process")
    assert [(route.host, route.service, route.port) for route in app.routes] == [("shop.localhost", "web", 8000)]
    assert "What the Procfile cannot say" in text
    assert "compose: [Procfile, compose.yaml]" in text, "where a health check can be written"
    built = infer_manifest(project, app="shop", compose=("Procfile",), builds=(replace(fact, text="FROM x"),))
    assert parse_app(built, directory=str(tmp_path)).engine is None
