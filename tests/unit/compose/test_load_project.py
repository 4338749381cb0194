"""Whole projects: the files found, the variables seen, the normal form, the origins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from compose_folder import HERE, Folder, load, refusal

import havre.compose
from havre.compose import LoadRequest, VariableUse, load_project
from havre.errors import Location

SHOP = """\
services:
  web:
    build: ./web
    image: shop/web:${TAG:-1}
    command: serve --port 80
    ports: ["8080:80"]
    volumes: [data:/data, ./conf:/conf:ro]
    depends_on: [db]
    environment: [LEVEL=info, HOST]
    healthcheck: {test: curl localhost, interval: 90s}
  db:
    image: postgres
    mem_limit: 512m
volumes:
  data:
"""


def test_a_project_gets_its_normal_form() -> None:
    project = load(SHOP, environment={"HOST": "h"})
    assert project.name == "work"
    assert project.model == {
        "name": "work",
        "services": {
            "web": {
                "build": {"context": f"{HERE}/web", "dockerfile": "Dockerfile"},
                "image": "shop/web:1",
                "command": ["serve", "--port", "80"],
                "ports": [{"mode": "ingress", "target": 80, "published": "8080", "protocol": "tcp"}],
                "volumes": [
                    {"type": "volume", "source": "data", "target": "/data", "volume": {}},
                    {
                        "type": "bind",
                        "source": f"{HERE}/conf",
                        "target": "/conf",
                        "read_only": True,
                        "bind": {"create_host_path": True},
                    },
                ],
                "depends_on": {"db": {"condition": "service_started", "required": True}},
                "environment": {"LEVEL": "info", "HOST": "h"},
                "healthcheck": {"test": ["CMD-SHELL", "curl localhost"], "interval": "1m30s"},
                "networks": {"default": None},
            },
            "db": {"image": "postgres", "mem_limit": "536870912", "networks": {"default": None}},
        },
        "volumes": {"data": {"name": "work_data"}},
        "networks": {"default": {"name": "work_default"}},
    }


def test_every_value_knows_its_origin() -> None:
    project = load({"compose.yaml": SHOP, ".env": "# shop\nTAG=7\n"})
    origin = project.origin("services.web.image")
    assert project.model["services"]["web"]["image"] == "shop/web:7"
    assert str(origin.location) == "compose.yaml:4:5"
    assert origin.variables == (VariableUse(name="TAG", source="env file", at=Location(".env", 2)),)
    assert str(origin.variables[0]) == "TAG (env file .env:2)"
    assert str(project.origin("services.web.ports[0].target").location) == "compose.yaml:6:13"
    assert str(project.origin("services.web.networks.default").location) == "compose.yaml:2:3"
    assert project.origin("nothing.like.it").location == Location("compose.yaml")
    assert project.origins["services.web.image"] == origin
    assert "services.db.mem_limit" in set(project.origins)
    assert len(project.origins) == len(list(project.origins))
    with pytest.raises(KeyError):
        project.origins["services.web.nothing"]


def test_keys_with_dots_are_found() -> None:
    project = load('services: {a: {image: x, labels: {"b.c": d, b: e}}}')
    assert str(project.origin("services.a.labels.b.c").location) == "compose.yaml:1:35"
    assert project.origins["services.a.labels.b"].location.column == 45


def test_variables_tell_their_source_and_all_places() -> None:
    text = "services:\n  a:\n    image: x:$TAG\n    labels: {t: $TAG, u: '${NONE:-d}', v: $VOID}\n"
    project = load(text, environment={"TAG": "1"})
    assert {name: use.source for name, use in project.variables.items()} == {
        "NONE": "default",
        "TAG": "environment",
        "VOID": "unset",
    }
    assert [str(place) for place in project.variables["TAG"].places] == ["compose.yaml:3:5", "compose.yaml:4:14"]


def test_an_unset_variable_is_a_warning_and_with_strict_an_error() -> None:
    text = "services:\n  a:\n    image: x:$ONE\n    hostname: ${TWO}\n"
    (warning, _) = load(text).warnings
    assert str(warning).startswith('compose.yaml:3:5: services.a.image: the "ONE" variable is not set')
    told = refusal(text, environment_strict=True)
    assert 'compose.yaml:3:5: services.a.image: the "ONE" variable is not set' in told
    assert 'compose.yaml:4:5: services.a.hostname: the "TWO" variable is not set' in told


def test_without_resolving_the_variables_stay_as_written() -> None:
    text = "services: {a: {image: 'x:$TAG', ports: ['${PORT:-80}:80'], mem_limit: '${MEM}', cpus: '$CPUS'}}"
    service = load(text, resolve=False).model["services"]["a"]
    assert service["image"] == "x:$TAG"
    assert service["ports"] == ["${PORT:-80}:80"]
    assert service["mem_limit"] == "${MEM}"


def test_the_default_file_is_found_here_or_above_with_its_override() -> None:
    files: dict[str, str | bytes] = {
        "docker-compose.yml": "services: {a: {image: old}}",
        "compose.override.yaml": "services: {a: {image: new}}",
        "deep/down/x": "",
    }
    project = load(files, working_dir=f"{HERE}/deep/down")
    assert project.model["services"]["a"]["image"] == "new"
    assert project.files == (f"{HERE}/docker-compose.yml", f"{HERE}/compose.override.yaml")
    assert "no configuration file provided" in refusal({"x": ""})


def test_several_default_files_are_told() -> None:
    project = load({"compose.yaml": "services: {a: {image: x}}", "docker-compose.yml": "services: {}"})
    assert [warning.code for warning in project.warnings] == ["several-files"]


def test_compose_file_project_name_and_profiles_come_from_the_environment() -> None:
    files: dict[str, str | bytes] = {
        "a.yml": "services: {a: {image: x}, p: {image: x, profiles: [p]}, q: {image: x, profiles: [q]}}",
        "b.yml": "services: {a: {hostname: $COMPOSE_PROJECT_NAME}}",
        ".env": "COMPOSE_FILE=a.yml;b.yml\nCOMPOSE_PATH_SEPARATOR=;\n"
        "COMPOSE_PROJECT_NAME=mine\nCOMPOSE_PROFILES=p, x\n",
    }
    project = load(files)
    assert project.name == "mine"
    assert project.model["services"]["a"]["hostname"] == "mine"
    assert project.disabled_services == ("q",)
    assert load(files, profiles=("*",)).disabled_services == ()
    assert load(files, project_name="other").name == "other"


def test_the_name_of_the_files_wins_over_the_directory_and_must_be_valid() -> None:
    assert load("name: ${N:-Shop 1}\nservices: {a: {image: x}}").name == "shop1"
    assert load("services: {a: {image: x}}", working_dir=HERE).name == "work"
    assert "invalid project name" in refusal("services: {a: {image: x}}", project_name="Not Valid")
    assert "project name must not be empty" in refusal("name: $NONE\nservices: {a: {image: x}}")
    assert "must be a string" in refusal("name: 5\nservices: {a: {image: x}}")


def test_env_files_named_by_the_caller_replace_the_default_one() -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": "services: {a: {image: 'x:$A-$B-$C'}}",
        ".env": "A=default\n",
        "one.env": "A=1\nB=1\nC=1\n",
        "two.env": "B=2\nC=$A$B\n",
    }
    project = load(files, env_files=("one.env", "two.env"), environment={"A": "process"})
    assert project.model["services"]["a"]["image"] == "x:process-2-process2"
    off = load(files, environment={"COMPOSE_DISABLE_ENV_FILE": "1"})
    assert off.model["services"]["a"]["image"] == "x:--"
    odd = load(files, environment={"COMPOSE_DISABLE_ENV_FILE": "odd"})
    assert odd.model["services"]["a"]["image"] == "x:default--"


def test_a_command_substitution_in_an_env_file_is_warned_about_without_its_value() -> None:
    project = load({"compose.yaml": "services: {a: {image: x}}", ".env": "A=1\nSECRET=$(pwgen -s 20)\n"})
    (warning,) = project.warnings
    assert warning.code == "env-command-substitution"
    assert warning.at == Location(".env", 2)
    assert "pwgen" not in str(warning)


def test_selected_services_bring_what_they_need() -> None:
    text = """\
services:
  web: {image: x, depends_on: [db]}
  db: {image: x}
  job: {image: x, profiles: [job], depends_on: [db]}
  other: {image: x}
"""
    assert sorted(load(text, services=("web",)).model["services"]) == ["db", "web"]
    assert sorted(load(text, services=("job",)).model["services"]) == ["db", "job"]
    assert "no such service: webb" in refusal(text, services=("webb",))


def test_an_obsolete_version_is_warned_about() -> None:
    (warning,) = load('version: "3"\nservices: {a: {image: x}}').warnings
    assert (warning.code, str(warning.at)) == ("obsolete-version", "compose.yaml:1:1")


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null"])
def test_an_empty_file_is_told(text: str) -> None:
    assert "empty compose file" in refusal(text)


def test_several_documents_of_one_file_are_merged() -> None:
    project = load("services: {a: {image: x}}\n---\nservices: {a: {hostname: h}}\n")
    assert project.model["services"]["a"]["hostname"] == "h"


def test_contents_come_from_the_environment_for_secrets_and_beside_the_model_for_configs() -> None:
    text = "services: {a: {image: x}}\nsecrets: {s: {environment: S}}\nconfigs: {c: {environment: C}}\n"
    project = load(text, environment={"S": "one", "C": "two"})
    assert project.model["secrets"]["s"]["content"] == "one"
    assert "content" not in project.model["configs"]["c"]
    assert project.config_contents == {"c": "two"}


def test_relative_file_names_start_at_the_working_directory_and_paths_at_the_file() -> None:
    files: dict[str, str | bytes] = {"deploy/prod.yml": "services: {a: {build: ../app}}"}
    project = load(files, files=("deploy/prod.yml",))
    assert project.model["services"]["a"]["build"]["context"] == f"{HERE}/app"
    assert project.name == "deploy"


def test_the_disk_is_read_by_default(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {a: {image: x, env_file: [e, {path: no, required: false}]}}")
    (tmp_path / "e").write_text("A=1")
    project = load_project(LoadRequest(working_dir=str(tmp_path), environment={}))
    assert project.model["services"]["a"]["environment"] == {"A": "1"}
    assert project.files == (str(tmp_path / "compose.yaml"), str(tmp_path / "e"))


def test_nothing_is_read_but_what_was_named() -> None:
    folder = Folder({"compose.yaml": "services: {a: {image: x, volumes: ['../etc:/x']}}", "../etc/passwd": "secret"})
    load_project(LoadRequest(working_dir=HERE, environment={}), read=folder)
    assert folder.reads == [f"{HERE}/compose.yaml"]


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, havre.compose; print([m for m in ('yaml', 'jsonschema', 'pathlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("[]", "['pathlib']")  # an editable install may import pathlib by itself


def test_loading_a_sound_project_imports_nothing_slow(tmp_path: Path) -> None:
    """What decision 0007 took out of the way: these took longer than the load itself."""
    (tmp_path / "compose.yaml").write_text("services: {a: {image: 'x:${TAG:-1}', ports: ['80:80'], mem_limit: 1g}}")
    code = """
import sys
from havre.compose import LoadRequest, load_project
project = load_project(LoadRequest(working_dir=sys.argv[1], environment={}))
print(project.model["services"]["a"]["image"])
print([name for name in ("dataclasses", "inspect", "yaml", "difflib", "ast") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False, env={})
    assert (done.stdout, done.stderr) == ("x:1\n[]\n", "")


def test_the_public_names_are_what_all_says() -> None:
    for name in havre.compose.__all__:
        assert getattr(havre.compose, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        havre.compose.nothing  # noqa: B018


def test_reading_outside_the_project_is_told() -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": "services: {a: {extends: {file: /other/base.yml, service: b}, env_file: [in.env, ../up.env]}}",
        "/other/base.yml": "services: {b: {image: x}}",
        "in.env": "",
        "/up.env": "",
        "/named/prod.yml": "services: {a: {hostname: h}}",
    }
    project = load(files, files=("compose.yaml", "/named/prod.yml"))
    outside = [str(warning.at) for warning in project.warnings if warning.code == "outside-project"]
    assert outside == ["/other/base.yml", "/up.env"]


def test_the_env_file_beside_a_discovered_file_counts_below_the_one_here() -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": "services: {a: {image: 'x:$A-$B'}}",
        ".env": "A=above\nB=above\n",
        "deep/.env": "A=here\n",
    }
    project = load(files, working_dir=f"{HERE}/deep")
    assert project.model["services"]["a"]["image"] == "x:here-above"
    assert project.warnings == ()
    assert load(files, working_dir=f"{HERE}/deep", env_files=("../none/../deep/.env",)).variables["B"].source == "unset"


def test_what_compose_drops_of_a_command_line_is_told_and_not_shown() -> None:
    (warning,) = load("services:\n  a:\n    image: x\n    command: migrate && start --password=hunter2\n").warnings
    assert (str(warning.at), warning.code) == ("compose.yaml:4:5", "command-dropped")
    assert warning.summary.endswith("Compose drops what stands at and behind `&&`")
    assert "hunter2" not in str(warning)
    assert load("services:\n  a:\n    image: x\n    command: sh -c 'migrate && start'\n").warnings == ()


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ("01234", "668"),
        ("1.10", "1.1"),
        ("1e3", "1000"),
        ("1_000", "1000"),
        ("0x1F", "31"),
        ("2.0", "2"),
        ("True", "true"),
    ],
)
def test_a_variable_that_yaml_takes_for_a_number_and_writes_otherwise_is_told(written: str, given: str) -> None:
    project = load(f"services: {{a: {{image: x, environment: {{ZIP: {written}}}}}}}")
    (warning,) = project.warnings
    kind = "a truth value" if given == "true" else "a number"
    assert warning.summary == f"YAML reads ZIP as {kind}, and the container gets `{given}`"
    assert warning.hint == f'write it in quotes: `ZIP: "{written}"`'
    assert str(warning.at).startswith("compose.yaml:1:")
    assert project.model["services"]["a"]["environment"]["ZIP"] == given


def test_numbers_that_stay_as_they_are_written_are_not_told_and_secret_ones_not_shown() -> None:
    kept = "{A: 12, B: 1.5, C: '01234', D: true, E: text, F: -3}"
    assert load(f"services: {{a: {{image: x, environment: {kept}, mem_limit: 064}}}}").warnings == ()
    assert load("services: {a: {image: x, environment: [A=01234]}}").warnings == ()
    (warning,) = load("services: {a: {image: x, environment: {DB_PASSWORD: 0012345}}}").warnings
    assert "0012345" not in str(warning)
    assert "5349" not in str(warning)


def test_a_build_argument_is_said_to_go_to_the_build_and_a_service_called_environment_is_none() -> None:
    (warning,) = load("services: {a: {build: {context: ., args: {V: 1.10}}}}").warnings
    assert warning.summary == "YAML reads V as a number, and the build gets `1.1`"
    assert load("services: {environment: {image: x, cpus: 1.50}}").warnings == ()
