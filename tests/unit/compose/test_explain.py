"""`--explain` says where a value came from and never what a secret is."""

from __future__ import annotations

from pathlib import Path

import pytest

from havre.compose import LoadedProject, LoadRequest, load_project
from havre.compose.explain import explain, masked_model
from havre.errors import InputError

COMPOSE = """\
services:
  web:
    image: app:${TAG:-latest}
    command: ["serve", "--password", "${DB_PASSWORD}"]
    environment:
      DATABASE_URL: postgres://app:${DB_PASSWORD}@db/app
      GREETING: hello ${WHO}
      API_KEY: abcdef
      DB_PASSWORD:
      FROM_SHELL: ${SHELL_VALUE}
    ports: ["80:80"]
"""


@pytest.fixture
def project(tmp_path: Path) -> LoadedProject:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / ".env").write_text("# comment\nDB_PASSWORD=correct-horse\n")
    return load_project(LoadRequest(working_dir=str(tmp_path), environment={"SHELL_VALUE": "bash"}))


def said(project: LoadedProject, key: str) -> str:
    return "\n".join(map(str, explain(project, key)))


def test_a_password_from_an_env_file_is_masked_inside_its_url(project: LoadedProject) -> None:
    assert (
        said(project, "services.web.environment.DATABASE_URL")
        == """\
services.web.environment.DATABASE_URL = postgres://app:********@db/app
  written at compose.yaml:6:7
  DB_PASSWORD comes from the env file, .env:2"""
    )


def test_a_default_names_the_line_it_stands_in(project: LoadedProject) -> None:
    assert (
        said(project, "services.web.image")
        == """\
services.web.image = app:latest
  written at compose.yaml:3:5
  TAG is set nowhere; its default at compose.yaml:3:5 is used"""
    )


def test_an_unset_variable_is_said_to_be_empty(project: LoadedProject) -> None:
    assert "WHO is set nowhere and counts as empty" in said(project, "services.web.environment.GREETING")


def test_the_environment_is_named(project: LoadedProject) -> None:
    text = said(project, "services.web.environment.FROM_SHELL")
    assert "= bash\n" in text
    assert "SHELL_VALUE comes from the environment" in text


def test_secrets_are_hidden_by_name_by_variable_and_wherever_they_stand(project: LoadedProject) -> None:
    everything = said(project, "services")
    assert "correct-horse" not in everything
    assert "abcdef" not in everything
    assert "services.web.command[1] = --password" in everything
    assert "services.web.command[2] = ********" in everything


def test_what_compose_fills_in_says_so(project: LoadedProject) -> None:
    assert said(project, "services.web.ports[0].protocol").startswith(
        "services.web.ports[0].protocol = tcp\n  filled in by Compose for compose.yaml:11:"
    )
    assert "networks.default.name = " in said(project, "networks")


def test_a_key_stands_for_everything_below_it(project: LoadedProject) -> None:
    paths = {found.path for found in explain(project, "services.web.ports")}
    assert paths == {f"services.web.ports[0].{key}" for key in ("mode", "protocol", "published", "target")}
    assert len(explain(project, "services.web.environment")) == 5


def test_an_unknown_key_gets_the_nearest_one(project: LoadedProject) -> None:
    with pytest.raises(InputError) as caught:
        explain(project, "services.web.enviroment.GREETING")
    assert "did you mean `services.web.environment.GREETING`" in str(caught.value)
    with pytest.raises(InputError, match="`havre config` prints all of them"):
        explain(project, "zzz")


def test_a_masked_model_hides_secrets_and_nothing_else(project: LoadedProject) -> None:
    web = masked_model(project)["services"]["web"]
    assert web["command"] == ["serve", "--password", "********"]
    assert web["environment"] == {
        "DATABASE_URL": "postgres://app:********@db/app",
        "GREETING": "hello ",
        "API_KEY": "********",
        "DB_PASSWORD": "********",
        "FROM_SHELL": "bash",
    }
    assert web["ports"] == project.model["services"]["web"]["ports"]


def test_a_secret_in_a_command_is_hidden_although_only_its_variable_tells(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services: {a: {image: a, command: 'redis-server --auth-line ${REDIS_PASSWORD}'}}"
    )
    loaded = load_project(LoadRequest(working_dir=str(tmp_path), environment={"REDIS_PASSWORD": "correct-horse"}))
    assert "correct-horse" not in str(masked_model(loaded))
