"""Several files, `extends`, `include`, `!reset` and `!override`."""

from __future__ import annotations

from typing import Any

import pytest
from compose_folder import HERE, load, refusal


def merged(base: str, override: str) -> dict[str, Any]:
    """The service `a` of two files."""
    files: dict[str, str | bytes] = {"one.yml": base, "two.yml": override}
    service: dict[str, Any] = load(files, files=("one.yml", "two.yml")).model["services"]["a"]
    return service


def services(keys: str) -> str:
    return f"services: {{a: {{image: x, {keys}}}}}"


@pytest.mark.parametrize(
    ("key", "base", "override", "result"),
    [
        ("command", "[a, b]", "[c]", ["c"]),
        ("entrypoint", "a b", "c", ["c"]),
        ("hostname", "a", "b", "b"),
        ("hostname", "a", "", "a"),
        ("healthcheck", "{retries: 1}", "{retries: , interval: 5s}", {"retries": 1, "interval": "5s"}),
        ("ports", "[]", "", []),
        ("cap_add", "[A, B]", "[B, C]", ["A", "B", "C"]),
        ("dns", "1.1.1.1", "[8.8.8.8, 1.1.1.1]", ["1.1.1.1", "8.8.8.8"]),
        ("environment", "{A: 1, B: 2}", "[B=3, C]", {"A": "1", "B": "3", "C": None}),
        ("environment", "[A=1]", "{A: 1.5, B: true, C: 1e30, D: }", {"A": "1.5", "B": "true", "C": "1e+30", "D": None}),
        ("labels", "[a=1]", "{b: }", {"a": "1", "b": ""}),
        ("extra_hosts", "[a=1.1.1.1]", "{a: [1.1.1.1, 2.2.2.2]}", ["a=1.1.1.1", "a=2.2.2.2"]),
        ("extra_hosts", "{a: 1.1.1.1}", "{a: 1.1.1.1}", ["a=1.1.1.1"]),
        ("ulimits", "{nofile: {soft: 1, hard: 2}}", "{nofile: 5, nproc: 6}", {"nofile": 5, "nproc": 6}),
        ("tmpfs", "/a", "[/b]", ["/a", "/b"]),
        ("expose", "[80]", "['80', 81]", ["80", "81"]),
        (
            "devices",
            "['/dev/a:/dev/x']",
            "['/dev/b:/dev/x:r']",
            [{"source": "/dev/b", "target": "/dev/x", "permissions": "r"}],
        ),
        ("healthcheck", "{test: [CMD, a], retries: 1}", "{test: b}", {"test": ["CMD-SHELL", "b"], "retries": 1}),
        (
            "logging",
            "{driver: x, options: {a: 1}}",
            "{options: {b: 2}}",
            {"driver": "x", "options": {"a": "1", "b": "2"}},
        ),
        ("logging", "{driver: x, options: {a: 1}}", "{driver: y}", {"driver": "y"}),
        ("x-mine", "{a: 1, b: [1]}", "{a: 2, b: [2]}", {"a": 2, "b": [1, 2]}),
    ],
)
def test_a_second_file_is_merged_by_the_rules_of_each_key(key: str, base: str, override: str, result: Any) -> None:
    assert merged(services(f"{key}: {base}"), services(f"{key}: {override}"))[key] == result


def test_ports_and_volumes_are_replaced_by_what_they_are_about() -> None:
    base = services("ports: ['80:80', '81:81'], volumes: [data:/x, ./a:/y]") + "\nvolumes: {data: , other: }"
    found = merged(base, services("ports: [{target: 80, published: 80}, '9:81/udp'], volumes: [other:/x:ro]"))
    assert [f"{one['published']}:{one['target']}/{one['protocol']}" for one in found["ports"]] == [
        "80:80/tcp",
        "81:81/tcp",
        "9:81/udp",
    ]
    assert [(one["source"], one["target"]) for one in found["volumes"]] == [("other", "/x"), (f"{HERE}/a", "/y")]


def test_build_depends_on_and_networks_merge_across_notations() -> None:
    base = services("build: ./a, depends_on: [b], networks: [n]") + "\nnetworks: {n: , m: }"
    override = services(
        "build: {target: t}, depends_on: {b: {condition: service_healthy}}, networks: {m: {aliases: [z]}}"
    )
    found = merged(base.replace("}}", "}, b: {image: x}}"), override)
    assert found["build"] == {"context": f"{HERE}/a", "target": "t", "dockerfile": "Dockerfile"}
    assert found["depends_on"] == {"b": {"condition": "service_healthy", "required": True}}
    assert found["networks"] == {"n": None, "m": {"aliases": ["z"]}}


def test_address_pools_merge_by_subnet() -> None:
    pool = "networks: {n: {ipam: {config: [{subnet: 10.0.0.0/24, gateway: 10.0.0.1}]}}}"
    more = "networks: {n: {ipam: {config: [{subnet: 10.0.0.0/24, gateway: 10.0.0.9}, {subnet: 10.1.0.0/24}]}}}"
    files: dict[str, str | bytes] = {"one.yml": pool, "two.yml": more}
    model = load(files, files=("one.yml", "two.yml")).model
    assert model["networks"]["n"]["ipam"]["config"] == [
        {"subnet": "10.0.0.0/24", "gateway": "10.0.0.9"},
        {"subnet": "10.1.0.0/24"},
    ]


def test_what_cannot_be_merged_is_told() -> None:
    files: dict[str, str | bytes] = {"one.yml": services("deploy: {replicas: 1}"), "two.yml": services("deploy: x")}
    assert "two.yml:1:26: services.a.deploy: cannot override" in refusal(files, files=("one.yml", "two.yml"))


def test_a_key_without_value_keeps_what_is_there() -> None:
    found = merged(
        services("deploy: {replicas: 2}, logging: {driver: x}, hostname: h"), services("deploy: , logging: ")
    )
    assert found["deploy"] == {"replicas": 2}
    assert found["logging"] == {"driver": "x"}


def test_reset_removes_and_override_replaces() -> None:
    base = services("ports: ['80:80'], environment: {A: 1}, labels: {a: b}")
    override = "services: {a: {ports: !override ['81:81'], environment: !reset {}, labels: !reset null}}"
    found = merged(base, override)
    assert [one["published"] for one in found["ports"]] == ["81"]
    assert "environment" not in found
    assert "labels" not in found


def test_reset_works_through_anchors_and_merge_keys() -> None:
    override = "x-a: &a {ports: !reset [], hostname: !override h}\nservices: {a: {<<: *a}, b: *a}"
    files: dict[str, str | bytes] = {
        "one.yml": "services: {a: {image: x, ports: ['1:1']}, b: {image: x, ports: ['2:2']}}",
        "two.yml": override,
    }
    model = load(files, files=("one.yml", "two.yml")).model
    assert all("ports" not in one and one["hostname"] == "h" for one in model["services"].values())


def test_items_of_lists_and_whole_documents_may_be_reset() -> None:
    assert load("services: {a: {image: x, command: [run, !reset x, y]}}").model["services"]["a"]["command"] == [
        "run",
        "y",
    ]
    assert "empty compose file" in refusal("!reset {a: b}")


def test_merge_keys_let_written_keys_and_earlier_maps_win() -> None:
    text = """\
x-one: &one {image: one, hostname: one}
x-two: &two {hostname: two, user: two}
services: {a: {<<: [*one, *two], image: mine}, b: {!!merge <<: *one}}
"""
    model = load(text).model["services"]
    assert (model["a"]["image"], model["a"]["hostname"], model["a"]["user"]) == ("mine", "one", "two")
    assert model["b"]["image"] == "one"


def test_extends_of_the_same_file_and_of_another_start_paths_at_their_own_directory() -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": """\
services:
  a: {extends: {file: base/common.yml, service: web}, environment: {A: mine}, volumes: [./here:/h]}
  b: {extends: c, hostname: b}
  c: {image: x, labels: [c=1]}
""",
        "base/common.yml": """\
services:
  web: {extends: root, build: ., env_file: e.env, volumes: [./data:/d]}
  root: {extends: {file: deep/root.yml, service: root}, image: "root:$TAG"}
""",
        "base/deep/root.yml": "services: {root: {environment: {A: root, B: root}, secrets: [s]}}",
        "base/e.env": "C=file\n",
    }
    text = files["compose.yaml"]
    assert isinstance(text, str)
    files["compose.yaml"] = text + "secrets: {s: {file: ./s}}\n"
    model = load(files, environment={"TAG": "1"}).model
    first = model["services"]["a"]
    assert first["build"]["context"] == f"{HERE}/base"
    assert first["image"] == "root:1"
    assert first["environment"] == {"A": "mine", "B": "root", "C": "file"}
    assert [one["source"] for one in first["volumes"]] == [f"{HERE}/base/data", f"{HERE}/here"]
    assert model["services"]["b"] == {
        "image": "x",
        "labels": {"c": "1"},
        "hostname": "b",
        "networks": {"default": None},
    }


def test_extending_resets_what_the_extending_service_says() -> None:
    base = "b: {image: x, ports: ['1:1'], labels: {z: w}}"
    text = f"services: {{a: {{extends: b, ports: !reset [], labels: !override {{x: y}}}}, {base}}}"
    assert load(text).model["services"]["a"] == {
        "image": "x",
        "labels": {"x": "y"},
        "networks": {"default": None},
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("services: {a: {extends: bb}, b: {image: x}}", 'service "bb" not found\n  hint: did you mean `b`?'),
        (
            "services: {a: {extends: {file: o.yml, service: z}}}",
            'service "z" not found in o.yml\n  hint: o.yml has: other',
        ),
        ("services: {a: {extends: {file: no.yml, service: z}}}", "cannot read no.yml"),
        ("services: {a: {extends: {file: o.yml}}}", "extends.a.service is required"),
        ("services: {a: {extends: {file: [o.yml], service: z}}}", "extends.file must be a string"),
        ("services: {a: {extends: {file: text.yml, service: z}}}", "services must be a mapping"),
        ("services: {a: {extends: {file: other.yml, service: text}}}", "services.text must be a mapping in other.yml"),
        ("services: {a: {extends: a}}", "Circular reference: a in /work/compose.yaml, extends a"),
        ("services: {a: {extends: b}, b: {extends: a}}", "Circular reference"),
        ("services: {a: {extends: [b]}}", "must be a mapping or string"),
    ],
)
def test_wrong_extends_are_told(text: str, told: str) -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": text,
        "o.yml": "services: {other: {image: x}}",
        "text.yml": "services: none",
        "other.yml": "services: {text: none}",
    }
    assert told in refusal(files)


def test_a_service_may_extend_an_empty_one_of_another_file() -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": "services: {a: {image: x, extends: {file: o.yml, service: b}}}",
        "o.yml": "services: {b: }",
    }
    extends = {"file": "/work/o.yml", "service": "b"}
    service = {"image": "x", "extends": extends, "networks": {"default": None}}
    assert load(files).model["services"]["a"] == service
    assert "services.b: must be a mapping" in refusal("services: {b: }")


def test_includes_bring_their_own_directory_and_variables() -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": """\
include:
  - db/compose.yml
  - {path: [mq/a.yml, mq/b.yml], project_directory: mq/root, env_file: mq.env}
  - {path: plain.yml, env_file: /dev/null, project_directory: /abs}
services: {web: {image: x, depends_on: [db]}, mq: {hostname: overridden}}
""",
        "db/compose.yml": "include: [inner/compose.yml]\nservices: {db: {image: 'db:$TAG', volumes: ['./d:/d']}}",
        "db/.env": "TAG=from-db\nKEEP=from-db\n",
        "db/inner/compose.yml": "services: {inner: {image: 'x:$TAG', build: .}}",
        "mq/a.yml": "services: {mq: {image: 'mq:$TAG', build: .}}",
        "mq/b.yml": "services: {mq: {command: b}}",
        "mq.env": "TAG=from-mq\n",
        "plain.yml": "services: {plain: {image: 'x:$TAG', build: .}}",
    }
    model = load(files).model["services"]
    assert model["db"]["image"] == "db:from-db"
    assert model["db"]["volumes"][0]["source"] == f"{HERE}/db/d"
    assert model["inner"]["image"] == "x:from-db"
    assert model["inner"]["build"]["context"] == f"{HERE}/db/inner"
    assert (model["mq"]["image"], model["mq"]["command"], model["mq"]["hostname"]) == (
        "mq:from-mq",
        ["b"],
        "overridden",
    )
    assert model["mq"]["build"]["context"] == f"{HERE}/mq/root"
    assert (model["plain"]["image"], model["plain"]["build"]["context"]) == ("x:", "/abs")
    assert load(files, environment={"TAG": "mine"}).model["services"]["db"]["image"] == "db:mine"


def test_an_included_resource_is_overridden_even_with_reset() -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": "include: [i.yml, i.yml]\nservices: {a: {ports: !override ['81:81']}}",
        "i.yml": "services: {a: {image: x, ports: ['80:80']}}\nnetworks: {n: {}}",
    }
    model = load(files).model
    assert [one["published"] for one in model["services"]["a"]["ports"]] == ["81"]
    assert "n" in model["networks"]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"compose.yaml": "include: [compose.yaml]"}, "include cycle detected: compose.yaml include compose.yaml"),
        (
            {"compose.yaml": "include: [a.yml]", "a.yml": "include: [b.yml]", "b.yml": "include: [a.yml]"},
            "compose.yaml include a.yml include b.yml include a.yml",
        ),
        ({"compose.yaml": "include: [none.yml]"}, "cannot read none.yml"),
        ({"compose.yaml": "include: [{path: []}]"}, "include needs a path"),
        ({"compose.yaml": "include: ['']"}, "include needs a path"),
        ({"compose.yaml": "include: [{path: a.yml, env_file: none.env}]", "a.yml": ""}, "cannot read none.env"),
        ({"compose.yaml": "include: [5]"}, "include[0]: must be a mapping or string"),
    ],
)
def test_wrong_includes_are_told(files: dict[str, str | bytes], told: str) -> None:
    assert told in refusal(files)


def test_a_null_include_is_nothing() -> None:
    assert load("include:\nservices: {a: {image: x}}").model["services"].keys() == {"a"}
