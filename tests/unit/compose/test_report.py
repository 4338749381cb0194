"""The Compose report tells what becomes of every key a user wrote, and where it stands."""

from __future__ import annotations

from pathlib import Path

from havre.compose import LoadedProject, LoadRequest, load_project
from havre.compose.keys import Kind
from havre.compose.report import Report, compose_report, show_places
from havre.errors import Location, Severity


def loaded(directory: Path, text: str, **files: str) -> LoadedProject:
    (directory / "compose.yaml").write_text(text)
    for name, content in files.items():
        (directory / name).write_text(content)
    return load_project(LoadRequest(working_dir=str(directory), environment={}))


def report_on(directory: Path, text: str, engine: str = "docker", api: tuple[int, int] = (1, 41)) -> Report:
    return compose_report(loaded(directory, text), engine, api)


def keys(report: Report, kind: Kind) -> list[str]:
    return [use.key for use in report.of(kind)]


def test_the_whole_text(tmp_path: Path) -> None:
    report = report_on(
        tmp_path,
        """\
services:
  web:
    image: app
    container_name: shop-web
    ports: ["8080:80"]
    volumes:
      - {type: bind, source: ., target: /src, bind: {recursive: disabled}}
  db:
    image: postgres
""",
    )
    assert (
        str(report)
        == """\
Compose keys on docker, Engine API 1.41: 7 honoured, 2 changed, 1 refused

refused
  services.*.volumes.[].bind.recursive  compose.yaml:7
      Havre always binds a directory with what is mounted below it
      instead: remove the key

changed
  services.*.container_name  compose.yaml:4
      becomes a name on the service's networks; containers get a name per replica, so that two can run
  services.*.ports  compose.yaml:5
      TCP ports are opened by the edge, which leads to the replicas; others by the replica itself

honoured
  services  compose.yaml:1
  services.*.image  compose.yaml:3, 9
      pinned by digest in the release
  services.*.volumes  compose.yaml:6
  services.*.volumes.[].bind  compose.yaml:7
  services.*.volumes.[].source  compose.yaml:7
  services.*.volumes.[].target  compose.yaml:7
  services.*.volumes.[].type  compose.yaml:7
"""
    )


def test_what_loading_filled_in_is_not_the_users(tmp_path: Path) -> None:
    report = report_on(tmp_path, "services: {web: {build: ., ports: ['80:80']}}")
    assert [use.key for use in report.uses] == ["services", "services.*.build", "services.*.ports"]


def test_keys_that_loading_uses_up_are_listed(tmp_path: Path) -> None:
    text = """\
version: "3"
include: [other.yaml]
services:
  web:
    extends: {service: base}
    env_file: [{path: web.env, required: false}]
    profiles: [""]
  base: {image: app}
"""
    project = loaded(
        tmp_path, text, **{"other.yaml": "services: {extra: {image: b, label_file: labels}}", "labels": ""}
    )
    report = compose_report(project, "docker")
    assert keys(report, Kind.CHANGED) == ["version"]
    assert {"include", "services.*.extends", "services.*.extends.service", "services.*.env_file.[].path"} <= set(
        keys(report, Kind.HONOURED)
    )
    (label_file,) = (use for use in report.uses if use.key == "services.*.label_file")
    assert show_places(label_file.places) == "other.yaml:1"


def test_a_refused_key_becomes_a_problem_with_its_place_and_a_way_out(tmp_path: Path) -> None:
    report = report_on(tmp_path, "services:\n  web:\n    image: app\n    cpu_percent: 50\n")
    (problem,) = report.problems
    assert str(problem).startswith("compose.yaml:4:5: services.web.cpu_percent: `cpu_percent` is refused: ")
    assert problem.hint == "remove the key"


def test_inside_a_refused_key_nothing_more_is_reported(tmp_path: Path) -> None:
    report = report_on(tmp_path, "services: {db: {provider: {type: cloud, options: {size: 1}}}}")
    assert [problem.subject for problem in report.problems] == ["services.db.provider"]
    assert len(report.of(Kind.REFUSED)) == 3


def test_a_value_can_be_refused_where_its_key_is_honoured(tmp_path: Path) -> None:
    report = report_on(
        tmp_path,
        """\
services:
  a: {image: x, deploy: {mode: replicated}}
  b: {image: x, deploy: {mode: global}}
  c: {image: x, deploy: {mode: replicated-job}}
  d: {image: x, volumes: [{type: npipe, source: p, target: p}]}
""",
    )
    assert [(problem.subject, problem.at and problem.at.line) for problem in report.problems] == [
        ("services.c.deploy.mode", 4),
        ("services.d.volumes[0].type", 5),
    ]
    assert "services.*.deploy.mode" in keys(report, Kind.CHANGED)
    assert "services.*.deploy.mode" in keys(report, Kind.HONOURED)


def test_a_health_check_without_a_test_is_changed(tmp_path: Path) -> None:
    report = report_on(
        tmp_path, "services: {web: {image: a, healthcheck: {interval: 5s}}, db: {image: b, healthcheck: {test: x}}}"
    )
    (changed,) = report.of(Kind.CHANGED)
    assert changed.paths == ("services.web.healthcheck",)


def test_the_docker_version_decides(tmp_path: Path) -> None:
    text = "services: {web: {image: a, annotations: {a: b}}}"
    assert len(report_on(tmp_path, text, api=(1, 41)).problems) == 1
    assert not report_on(tmp_path, text, api=(1, 43)).problems


def test_the_engine_decides(tmp_path: Path) -> None:
    report = report_on(tmp_path, "services: {web: {image: a, read_only: true}}", engine="process")
    assert "services.*.read_only" in keys(report, Kind.CHANGED)
    assert str(report).startswith("Compose keys on process: ")


def test_replicas_behind_a_published_port_are_explained(tmp_path: Path) -> None:
    report = report_on(tmp_path, "services: {web: {image: a, ports: ['5050:80', '80'], deploy: {replicas: 3}}}")
    (note,) = report.notes
    assert note.severity is Severity.NOTE
    assert note.evidence == ("port 5050 (compose.yaml:1:36) is opened by the edge",)
    assert str(note) in str(report)


def test_ports_on_the_hosts_network_are_warned_of(tmp_path: Path) -> None:
    text = "services: {web: {image: a, network_mode: host, ports: ['80:80']}}"
    (note,) = report_on(tmp_path, text).notes
    assert (note.severity, note.subject) == (Severity.WARNING, "services.web.ports")
    assert not report_on(tmp_path, text, engine="process").notes


def test_places_name_each_file_once() -> None:
    places = (
        Location("b.yml", 4, 1),
        Location("a.yml", 9),
        Location("a.yml", 3, 2),
        Location("a.yml", 3, 8),
        Location("c"),
    )
    assert show_places(places) == "a.yml:3, 9, b.yml:4, c"
