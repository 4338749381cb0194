"""Every value in the type and notation of the normal form."""

from __future__ import annotations

from typing import Any

import pytest
from compose_folder import HERE, load, refusal


@pytest.mark.parametrize(
    ("key", "written", "normal"),
    [
        ("command", "", None),
        ("command", "''", []),
        ("entrypoint", "[a, b]", ["a", "b"]),
        ("pre_start", "[{command: a b}, {image: y}]", [{"command": ["a", "b"], "image": "x"}, {"image": "y"}]),
        (
            "post_start",
            "[{command: [a], environment: [A=1], privileged: yes}]",
            [{"command": ["a"], "environment": {"A": "1"}, "privileged": True}],
        ),
        ("post_start", "[{command: }]", [{"command": None}]),
        ("annotations", "[a=b, c]", {"a": "b", "c": ""}),
        ("sysctls", "{a: 1}", {"a": "1"}),
        ("group_add", "[1, mail]", ["1", "mail"]),
        ("dns", "['', 1.1.1.1]", ["1.1.1.1"]),
        ("env_file", "[]", None),
        ("cpus", "'1.50'", 1.5),
        ("cpus", "2.0", 2),
        ("cpu_shares", "10.0", 10),
        ("healthcheck", "{retries: 1.5}", {"retries": 1}),
        ("user", "!!binary aGk=", "hi"),
        ("network_mode", "'${UNSET}'", ""),
        ("mem_swappiness", "60", "60"),
        ("memswap_limit", "-1", "-1"),
        ("stop_grace_period", "90s", "1m30s"),
        ("init", "off", False),
        ("privileged", "'yes'", True),
        ("pull_policy", "if_not_present", "missing"),
        ("ulimits", "{a: 1, b: {soft: '2', hard: 3}}", {"a": 1, "b": {"soft": 2, "hard": 3}}),
        ("extra_hosts", "{a: '[::1]'}", ["a=::1"]),
        ("healthcheck", "{disable: false}", {}),
        ("healthcheck", "{disable: true}", {"disable": True}),
        (
            "secrets",
            "[{source: s, mode: 0440}, {source: t, target: y, mode: '0o400'}]",
            [
                {"source": "s", "mode": "0440", "target": "/run/secrets/s"},
                {"source": "t", "target": "y", "mode": "0400"},
            ],
        ),
        (
            "volumes",
            "[{type: tmpfs, target: /x/../y, tmpfs: {size: 1k, mode: '755'}}]",
            [{"type": "tmpfs", "target": "/y", "tmpfs": {"size": "1024", "mode": 493}}],
        ),
        (
            "volumes",
            "[{type: bind, source: ~/a, target: /y}]",
            [{"type": "bind", "source": "/home/me/a", "target": "/y", "bind": {"create_host_path": True}}],
        ),
        (
            "volumes",
            "[{type: bind, source: 'C:\\a', target: /y, bind: {create_host_path: no}}]",
            [{"type": "bind", "source": "C:\\a", "target": "/y", "bind": {"create_host_path": False}}],
        ),
        ("label_file", "[]", []),
        (
            "ports",
            "[80, {target: '81', published: 82, protocol: udp}]",
            [
                {"mode": "ingress", "target": 80, "protocol": "tcp"},
                {"target": 81, "published": "82", "protocol": "udp", "mode": "ingress"},
            ],
        ),
        (
            "blkio_config",
            "{weight: 5, device_read_bps: [{path: /d, rate: 1mb}]}",
            {"weight": 5, "device_read_bps": [{"path": "/d", "rate": "1048576"}]},
        ),
        ("networks", "{default: {}}", {"default": {}}),
        ("networks", "{default: {driver_opts: {a: 1}}}", {"default": {"driver_opts": {"a": "1"}}}),
        ("storage_opt", "{size: 1}", {"size": "1"}),
        (
            "deploy",
            "{resources: {reservations: {devices: [{capabilities: [gpu], options: [a=1]}]}}}",
            {
                "resources": {
                    "reservations": {"devices": [{"capabilities": ["gpu"], "options": {"a": "1"}, "count": -1}]}
                }
            },
        ),
    ],
)
def test_values_of_a_service(key: str, written: str, normal: Any) -> None:
    text = f"services: {{a: {{image: x, {key}: {written}}}}}\nsecrets: {{s: {{file: s}}, t: {{file: t}}}}\n"
    service = load(text, environment={"HOME": "/home/me"}).model["services"]["a"]
    assert service.get(key) == normal


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        (".", {"context": HERE, "dockerfile": "Dockerfile"}),
        ("https://x/y.git", {"context": "https://x/y.git", "dockerfile": "Dockerfile"}),
        ("{dockerfile_inline: x}", {"context": HERE, "dockerfile_inline": "x"}),
        (
            "{context: ., args: [A=1, B, C]}",
            {"context": HERE, "args": {"A": "1", "B": "b"}, "dockerfile": "Dockerfile"},
        ),
        (
            "{context: ., args: {A: 1, B: , C: }}",
            {"context": HERE, "args": {"A": "1", "B": "b"}, "dockerfile": "Dockerfile"},
        ),
        ("{context: ., ssh: [default]}", {"context": HERE, "ssh": ["default"], "dockerfile": "Dockerfile"}),
        (
            "{context: ., ssh: [default, 'k=./key']}",
            {"context": HERE, "ssh": ["default", f"k: {HERE}/key"], "dockerfile": "Dockerfile"},
        ),
        (
            "{context: ., provenance: true, sbom: x}",
            {"context": HERE, "provenance": "true", "sbom": "x", "dockerfile": "Dockerfile"},
        ),
        (
            "{context: ., additional_contexts: [a=./b]}",
            {"context": HERE, "additional_contexts": {"a": f"{HERE}/b"}, "dockerfile": "Dockerfile"},
        ),
    ],
)
def test_values_of_a_build(written: str, normal: Any) -> None:
    project = load(f"services: {{a: {{build: {written}}}}}", environment={"B": "b"})
    assert project.model["services"]["a"]["build"] == normal


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("privileged: '1'", "invalid boolean: 1"),
        ("use_api_socket: 'true'", "must be a boolean"),
        ("depends_on: {b: {condition: service_started, required: 'true'}}", "required: must be a boolean"),
        ("healthcheck: {retries: -1}", "healthcheck.retries: must be greater than or equal to 0, not -1"),
        ("deploy: {update_config: {parallelism: '-1'}}", "must be greater than or equal to 0"),
        ("cpu_percent: 1.5", "cpu_percent: must be an integer or string"),
        ("labels: {'': x}", "services.a.labels: a name is missing\n  hint: write it before the colon"),
        ("devices: [{source: /dev/a}]", "services.a.devices[0]: service device is missing a mount target"),
        ("ports: [0]", "ports[0]: service port is missing a target port"),
        ("user: !!binary '%'", "!!binary is not the base64 of a text"),
        ("build: {context: ., ssh: [key]}", 'invalid ssh key "key": neither `default` nor NAME=PATH'),
        ("build: {context: ., additional_contexts: [base]}", "invalid value base, expected NAME=CONTEXT"),
    ],
)
def test_values_no_service_can_have_are_told(keys: str, told: str) -> None:
    assert told in refusal(f"services: {{a: {{image: x, {keys}}}, b: {{image: x}}}}")


def test_a_platform_may_be_named_by_several_files() -> None:
    files: dict[str, str | bytes] = {
        "one.yaml": "services: {a: {build: {context: ., platforms: [linux/amd64]}}}",
        "two.yaml": "services: {a: {build: {platforms: [linux/amd64, linux/arm64]}}}",
    }
    build = load(files, files=("one.yaml", "two.yaml")).model["services"]["a"]["build"]
    assert build["platforms"] == ["linux/amd64", "linux/amd64", "linux/arm64"]


def test_a_name_written_empty_stays_empty() -> None:
    model = load("services: {a: {image: x}}\nvolumes: {v: {name: '${UNSET}'}, w: }").model
    assert model["volumes"] == {"v": {"name": ""}, "w": {"name": "work_w"}}


def test_env_files_fill_the_environment_below_what_the_file_says() -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": """\
services:
  a:
    image: x
    env_file: [one.env, {path: two.env, format: raw}, {path: gone.env, required: false}]
    environment: {OWN: own, PASSED: , KEPT: }
""",
        "one.env": "OWN=file\nKEPT=file\nA=${OWN}-${SHELL_SET}\n",
        "two.env": "RAW='$OWN'\nPASSED=file\n",
    }
    project = load(files, environment={"PASSED": "shell", "SHELL_SET": "s"})
    assert project.model["services"]["a"]["environment"] == {
        "OWN": "own",
        "KEPT": "file",
        "A": "own-s",
        "RAW": "'$OWN'",
        "PASSED": "shell",
    }
    assert "env_file" not in project.model["services"]["a"]
    origin = project.origin("services.a.environment.A")
    assert str(origin.location) == "one.env:3:1"
    assert dict(project.variables) == {}
    assert project.files == (f"{HERE}/compose.yaml", f"{HERE}/one.env", f"{HERE}/two.env")


def test_label_files_fill_the_labels() -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": "services: {a: {image: x, label_file: [one.labels], labels: {b: mine}}}",
        "one.labels": "a=1\nb=2\n",
    }
    service = load(files).model["services"]["a"]
    assert service["labels"] == {"a": "1", "b": "mine"}
    assert "label_file" not in service


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("env_file: gone.env", "compose.yaml:1:26: env file gone.env not found: no such file or directory"),
        ("env_file: deep", "env file deep not found: it is a directory"),
        ("env_file: [{path: a.env, format: odd}]", "unsupported env_file format odd"),
        ("env_file: bad.env", "bad.env:2: failed to read bad.env: line 2: key cannot contain a space"),
        ("env_file: latin.env", "latin.env:1: this env file is not UTF-8 text"),
        ("env_file: nul.env", "nul.env:2: this env file contains a NUL character"),
        ("label_file: gone.labels", "label file gone.labels not found"),
    ],
)
def test_wrong_files_of_services_are_told(keys: str, told: str) -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": f"services: {{a: {{image: x, {keys}}}}}",
        "a.env": "A=1",
        "bad.env": "A=1\nnot valid",
        "latin.env": b"A=caf\xe9",
        "nul.env": "A=1\nB=\0",
        "deep/x": "",
    }
    assert told in refusal(files)


def test_resources_get_names_and_text_options() -> None:
    model = load("""\
services: {a: {image: x}}
networks: {n: {driver_opts: {a: 1}, ipam: {options: {b: "2"}}, enable_ipv6: "true"}, e: {external: true}}
configs: {o: {external: {}}}
volumes:
  v: {name: given, labels: [a=b]}
  w: {driver: local, driver_opts: {o: bind, device: ./w, type: none}}
  u: {driver: local, driver_opts: {o: bind}}
""").model
    assert model["networks"]["n"] == {
        "driver_opts": {"a": "1"},
        "ipam": {"options": {"b": "2"}},
        "enable_ipv6": True,
        "name": "work_n",
    }
    assert model["networks"]["e"] == {"external": True, "name": "e"}
    assert model["configs"]["o"] == {"external": True, "name": "o"}
    assert model["volumes"]["v"] == {"name": "given", "labels": {"a": "b"}}
    assert model["volumes"]["w"]["driver_opts"]["device"] == f"{HERE}/w"
    assert "device" not in model["volumes"]["u"]["driver_opts"]
