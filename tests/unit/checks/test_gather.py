"""The facts about files are what lies on disk and what git says, never more than was asked for."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from havre.checks.binds import paths_of
from havre.model.app import App
from havre.model.project import Build, Mount, MountKind, Project, Service
from havre.model.server import FileFacts, Script
from havre.workflows.check import look_at_files, read_env_files


def bind(source: Path, target: str = "/x") -> Mount:
    return Mount(kind=MountKind.BIND, source=str(source), target=target)


def facts(directory: Path, *services: Service) -> FileFacts:
    return look_at_files(App(name="shop", directory=str(directory)), Project(name="shop", services=services))


def test_mounted_paths_are_told_apart_and_similar_files_found(tmp_path: Path) -> None:
    (tmp_path / "monitoring").mkdir()
    (tmp_path / "monitoring/prometheus.yml").write_text("x")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules/prometheus.yml").write_text("x")
    (tmp_path / "alertmanagr.yml").write_text("x")
    mounts = (
        bind(tmp_path / "prometheus.yml"),
        bind(tmp_path / "alertmanager.yml"),
        bind(tmp_path / "monitoring"),
        bind(tmp_path / "alertmanagr.yml"),
        bind(Path("/dev/null")),
    )
    service = Service(name="a", image="x", mounts=mounts)
    found = facts(tmp_path, service)
    shown = [(Path(one.path).name, one.kind, [Path(path).name for path in one.similar]) for one in found.paths]
    assert shown == [
        ("null", "other", []),
        ("alertmanager.yml", "missing", ["alertmanagr.yml"]),
        ("alertmanagr.yml", "file", []),
        ("monitoring", "directory", []),
        ("prometheus.yml", "missing", ["prometheus.yml"]),
    ]
    assert found.at(str(tmp_path / "prometheus.yml")).similar == (str(tmp_path / "monitoring/prometheus.yml"),)  # type: ignore[union-attr]
    assert len(paths_of(Project(name="x", services=(service,)))) == 5


def test_a_build_is_described_by_what_reaches_the_builder(tmp_path: Path) -> None:
    context = tmp_path / "web"
    (context / "src").mkdir(parents=True)
    (context / "Dockerfile").write_text("FROM x\n")
    (context / ".dockerignore").write_text("secret.txt\n")
    (context / "secret.txt").write_text("x")
    (context / "src/a.py").write_text("x")
    (context / "package.json").write_text("{}")
    (fact,) = facts(tmp_path, Service(name="web", image="x", build=Build(context=str(context)))).builds
    assert (fact.service, fact.dockerfile, fact.text) == ("web", "web/Dockerfile", "FROM x\n")
    assert fact.files is not None
    assert {"package.json", "src/a.py"} <= fact.files
    assert fact.ignored == {"secret.txt"}
    assert fact.texts == (("package.json", "{}"),)


def test_builds_that_are_absent_inline_or_remote_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    services = (
        Service(name="absent", image="x", build=Build(context=str(tmp_path / "nowhere"))),
        Service(name="bare", image="x", build=Build(context=str(tmp_path / "there"))),
        Service(name="inline", image="x", build=Build(context=str(tmp_path / "there"), dockerfile_inline="FROM y")),
        Service(name="remote", image="x", build=Build(context="https://example.org/a.git")),
        Service(name="none", image="x"),
    )
    found = {one.service: (one.context_exists, one.text) for one in facts(tmp_path, *services).builds}
    assert found == {"absent": (False, None), "bare": (True, None), "inline": (True, "FROM y")}


def test_a_dockerfile_outside_the_project_is_shown_in_full(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (fact,) = facts(tmp_path / "app", Service(name="a", image="x", build=Build(context=str(outside)))).builds
    assert fact.dockerfile == str(outside / "Dockerfile")


def git(directory: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(directory), *arguments], check=True, capture_output=True)


def test_git_says_which_sensitive_files_it_tracks_and_which_it_would(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    for name in (".env", ".env.example", "app.db", "main.py", ".env.local", ".env.ignored", "server.key"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".gitignore").write_text(".env.ignored\n")
    git(tmp_path, "add", ".env", ".env.example", "app.db", "main.py", "server.key")
    found = facts(tmp_path)
    assert {Path(path).name for path in found.tracked} == {".env", "app.db", "server.key"}
    assert {Path(path).name for path in found.exposed} == {".env.local"}
    assert found.is_complete


def test_outside_a_work_tree_git_says_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("x")
    assert facts(tmp_path).tracked | facts(tmp_path).exposed == frozenset()


def test_env_files_are_read_with_their_lines_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# x\nA=topsecret\nB=${A}2\n")
    found = read_env_files(App(name="shop", directory=str(tmp_path)))
    assert [(one.name, one.value, one.file, one.line) for one in found] == [
        ("A", "topsecret", ".env", 2),
        ("B", "topsecret2", ".env", 3),
    ]
    assert "topsecret" not in repr(found)
    assert read_env_files(App(name="shop", directory=str(tmp_path), env_files=("absent",))) == ()


def test_what_of_this_machine_reaches_a_builder_and_what_can_be_run_there(tmp_path: Path) -> None:
    for name in (".git/HEAD", "sub/node_modules/x/index.js", "app.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "Dockerfile").write_text("FROM alpine\nCOPY . .\n")
    (tmp_path / "entry.sh").write_bytes(b"#!/bin/sh\r\n")
    service = Service(name="web", image="web", build=Build(context=str(tmp_path)))
    (fact,) = facts(tmp_path, service).builds
    assert fact.of_this_machine == (".git", "node_modules")
    assert fact.scripts == (Script(name="entry.sh", is_windows=True, is_executable=False),)
    (tmp_path / ".dockerignore").write_text(".git\n**/node_modules\n*.sh\n")
    (fact,) = facts(tmp_path, service).builds
    assert (fact.of_this_machine, fact.scripts) == ((), ())


def test_services_that_share_a_context_are_each_told_of_it(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine\n")
    build = Build(context=str(tmp_path))
    named = (("web", build), ("worker", build), ("job", replace(build, dockerfile="job.Dockerfile")))
    found = facts(tmp_path, *(Service(name=name, image="", build=one) for name, one in named)).builds
    assert [(one.service, one.dockerfile, one.text) for one in found] == [
        ("web", "Dockerfile", "FROM alpine\n"),
        ("worker", "Dockerfile", "FROM alpine\n"),
        ("job", "job.Dockerfile", None),
    ]


def test_a_context_is_shown_with_the_dot_of_its_name(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    services = (Service(name="a", image="", build=Build(context=str(tmp_path / where))) for where in ("", ".docker"))
    assert [one.context for one in facts(tmp_path, *services).builds] == ["", ".docker"]


def test_the_ignore_file_that_counts_is_named(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine\n")
    build = Service(name="web", image="w", build=Build(context=str(tmp_path)))
    assert [one.ignore_file for one in facts(tmp_path, build).builds] == [".dockerignore"]
    (tmp_path / "Dockerfile.dockerignore").write_text("")
    assert [one.ignore_file for one in facts(tmp_path, build).builds] == ["Dockerfile.dockerignore"]


def test_havres_own_directory_in_a_context_is_told_unless_it_stays_behind(tmp_path: Path, judge: Any) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine\n")
    app, build = App(name="shop", directory=str(tmp_path)), Build(context=str(tmp_path))
    project = Project(name="shop", services=(Service(name="web", image="w", build=build),))

    def told(state: Path) -> list[str]:
        files = look_at_files(app, project, state=state)
        found = judge.problems("build-holds-state", "services: {web: {build: .}}", files=files)
        return [f"{one.summary}; {one.hint}" for one in found]

    (within,) = told(tmp_path / "var/state")
    assert within.startswith("Havre's own directory var/state lies in the build context; write `var/state` into .dock")
    assert told(tmp_path.parent / "state") == []
    (tmp_path / ".dockerignore").write_text("var\n")
    assert told(tmp_path / "var/state") == []
