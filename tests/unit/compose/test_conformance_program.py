"""The candidate program answers the suite's operations with the loader's phases."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from havre.compose import conformance
from havre.compose.conformance import answer


def ask(operation: str, **given: Any) -> dict[str, Any]:
    return answer({"id": "x", "op": operation, "category": "x", "input": given})


@pytest.mark.parametrize(
    ("operation", "given", "model"),
    [
        ("template", {"template": "a${B}", "env": {"B": "c"}}, "ac"),
        ("interpolate", {"dict": {"a": ["$B"]}, "env": {"B": "c"}}, {"a": ["c"]}),
        ("volume_short", {"spec": "ab:/b"}, {"type": "volume", "source": "ab", "target": "/b", "volume": {}}),
        ("port_short", {"spec": "80"}, [{"mode": "ingress", "target": 80, "protocol": "tcp"}]),
        ("bytes", {"value": "1k"}, 1024),
        ("duration", {"spec": "1s"}, 10**9),
        ("command", {"spec": "a b"}, ["a", "b"]),
        ("extra_hosts", {"values": ["a:1.1.1.1"]}, ["a=1.1.1.1"]),
        ("mapping", {"values": ["a=b", "c"]}, {"a": "b", "c": None}),
        ("labels", {"value": {"a": 1}}, {"a": "1"}),
        ("schema", {"dict": {"services": {"a": {"image": "x"}}}}, True),
        ("project_name", {"spec": "My Shop"}, "myshop"),
        ("merge", {"docs": ["a: [1]\nb: 1", "a: !override [2]\nb: !reset 1"]}, {"a": [2]}),
        (
            "variables",
            {"dict": {"a": ["${B:-c}", "${D?}", "${E+f}"]}},
            {
                "B": {"Name": "B", "DefaultValue": "c", "PresenceValue": "", "Required": False},
                "D": {"Name": "D", "DefaultValue": "", "PresenceValue": "", "Required": True},
                "E": {"Name": "E", "DefaultValue": "", "PresenceValue": "f", "Required": False},
            },
        ),
        (
            "normalize",
            {"dict": {"name": "p", "services": {"a": None}, "volumes": {"v": None}}, "env": {}},
            {
                "name": "p",
                "services": {"a": {"networks": {"default": None}}},
                "volumes": {"v": {"name": "p_v"}},
                "networks": {"default": {"name": "p_default"}},
            },
        ),
    ],
)
def test_each_operation_has_an_answer(operation: str, given: dict[str, Any], model: Any) -> None:
    assert ask(operation, **given) == {"ok": True, "model": model}


def test_refusals_crashes_and_unknown_operations_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask("template", template="${")["error"] == 'Invalid template: "${"'
    assert ask("schema", dict={"servces": {}})["ok"] is False
    assert ask("dance")["unsupported"] is True
    monkeypatch.setitem(conformance._OPERATIONS, "bytes", lambda given: given["nothing"])
    assert ask("bytes") == {"ok": False, "crash": True, "error": "KeyError: 'nothing'"}


def test_a_project_is_loaded_with_and_without_each_phase(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("""\
services:
  a: {image: "x:$T", build: ., volumes: [data:/d], env_file: e.env, gpus: all}
  p: {image: x, profiles: [p]}
volumes: {data: , unused: }
""")
    (tmp_path / "e.env").write_text("A=1")
    given = {"cwd": str(tmp_path), "working_dir": "", "config_files": ["compose.yaml"], "env": {"T": "1"}}
    full = ask("load", **given, options={"project_name": "p", "discard_env_files": True, "prune": True})
    assert full["disabled_services"] == ["p"]
    assert full["model"]["services"]["a"]["environment"] == {"A": "1"}
    assert full["model"]["services"]["a"]["build"]["context"] == "."
    assert list(full["model"]["volumes"]) == ["data"]
    switched_off = (
        *("skip_validation", "skip_interpolation", "skip_normalization", "skip_consistency_check", "skip_extends"),
        *("skip_include", "skip_resolve_environment", "skip_default_values", "no_resolve_paths"),
    )
    bare = ask("load", **given, options={"project_name": "p", **dict.fromkeys(switched_off, True)})
    assert bare["model"]["services"]["a"]["image"] == "x:$T"
    assert "networks" not in bare["model"]
    assert "context" in bare["model"]["services"]["a"]["build"]


def test_what_is_not_normalised_needs_no_name_and_keeps_its_files(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {a: {label_file: a.labels}, b: }")
    (tmp_path / "a.labels").write_text("k=v")
    given = {"cwd": str(tmp_path), "working_dir": "", "config_files": ["compose.yaml"]}
    off = dict.fromkeys(("skip_validation", "skip_normalization", "skip_consistency_check"), True)
    services = {"a": {"label_file": ["a.labels"], "labels": {"k": "v"}}, "b": {}}
    assert ask("load", **given, options=off)["model"] == {"services": services}
    (tmp_path / "own.env").write_text("T=1")
    unfilled = {"skip_interpolation": True, "project_name": "p"}
    (tmp_path / "short.yaml").write_text("services: {a: {image: x, volumes: ['$A::b']}}")
    short = ask("load", **{**given, "config_files": ["short.yaml"]}, options=unfilled)
    assert short["model"]["services"]["a"]["volumes"] == ["$A::b"]
    asked = ask("project", cwd=str(tmp_path), config_files=["compose.yaml"], env_files=["own.env"], env={}, name="n")
    assert "services.b: must be a mapping" in asked["error"]


def test_a_project_is_discovered_as_the_command_line_does(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text("services: {a: {image: 'x:$T'}}")
    (tmp_path / "b.yml").write_text("services: {b: {image: 'x:$T'}}")
    (tmp_path / ".env").write_text("T=2\n")
    found = ask("project", cwd=str(tmp_path), compose_cli=True, os_env={}, env={})
    assert found["model"]["services"]["a"]["image"] == "x:2"
    assert found["compose_files"] == [str(tmp_path / "compose.yml")]
    named = ask("project", cwd=str(tmp_path), use_config_file_env=True, env={"COMPOSE_FILE": "b.yml"}, name="n")
    assert (named["model"]["name"], list(named["model"]["services"])) == ("n", ["b"])
    assert "no configuration file" in ask("project", cwd=str(tmp_path), env={})["error"]
    assert ask("dotenv", cwd=str(tmp_path), env_files=[".env"]) == {"ok": True, "model": {"T": "2"}}


@pytest.mark.parametrize("arguments", [[], ["--stream"]])
def test_cases_come_one_by_one_or_as_a_stream(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    case = json.dumps({"op": "bytes", "input": {"value": "1k"}})
    monkeypatch.setattr(sys, "argv", ["conformance", *arguments])
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{case}\n\n{case}\n" if arguments else case))
    conformance.main()
    assert capsys.readouterr().out == '{"ok": true, "model": 1024}\n' * (2 if arguments else 1)
