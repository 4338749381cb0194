"""Files made to hurt: a clear error, quickly, in little memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from compose_folder import load, message, refusal

from havre.compose import (
    LoadRequest,
    canonical,
    extends,
    interpolate,
    load_project,
    loading,
    reader,
    yamltext,
)
from havre.errors import HavreError

OK = "services:\n  a:\n    image: x\n"


@pytest.fixture(autouse=True)
def _soon() -> Iterator[None]:
    start = time.process_time()  # what others do on this machine does not count
    yield
    assert time.process_time() - start < 20


def bomb(width: int, depth: int) -> str:
    lines = ["x-0: &a0 [x]"]
    for level in range(1, depth):
        lines.append(f"x-{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]")
    return "\n".join(lines) + "\n" + OK


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (OK + "    command: a\0b\n", "compose.yaml:4: failed to parse YAML: control characters are not allowed"),
        (OK.encode() + b"# caf\xe9\n", "compose.yaml:4: failed to parse YAML: incomplete UTF-8"),
        ("a: " + "[" * 100_000, "compose.yaml:1:103: failed to parse YAML: nested more than 100 levels deep"),
        ("".join(" " * depth + "a:\n" for depth in range(300)), "nested more than 100 levels deep"),
        (bomb(9, 10), "document contains excessive aliasing"),
        (bomb(3, 15), "document contains excessive aliasing"),
        (OK + f"    command: {'${A:-' * 10_000}{'}' * 10_000}\n", "invalid interpolation format"),
        (OK + f"    command: {'${A:-' * 10_000}\n", "invalid interpolation format"),
        (OK + "    ports: ['1-65535000:1-65535000']\n", "Invalid containerPort"),
        (OK + f"    mem_limit: {'9' * 60}g\n", "invalid size"),
        (OK + "    scale: 1e400\n", "must be an integer or string"),
        (OK + "    env_file: /dev/full-of-nothing\n", "not found"),
    ],
    ids=lambda value: value[-40:] if isinstance(value, str) else "bytes",
)
def test_hostile_text_is_refused(content: str | bytes, told: str) -> None:
    assert told in refusal({"compose.yaml": content})


def test_a_hundred_levels_and_long_chains_are_fine() -> None:
    chain = "".join(f"  s{number}: {{image: x, depends_on: [s{number + 1}]}}\n" for number in range(2000))
    load(f"services:\n{chain}  s2000: {{image: x}}\nx-deep: {'[' * 90}{']' * 90}\n")


def test_long_cycles_are_told_shortly() -> None:
    ring = "".join(f"  s{number}: {{image: x, depends_on: [s{(number + 1) % 500}]}}\n" for number in range(500))
    told = refusal(f"services:\n{ring}")
    assert "dependency cycle detected: s0 -> s1 -> " in told
    assert "… -> s0" in told
    ring = "".join(f"  s{number}: {{extends: s{(number + 1) % 50}}}\n" for number in range(50))
    assert "Circular reference" in refusal(f"services:\n{ring}")


def test_extends_has_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = "".join(f"  s{number}: {{extends: s{number + 1}}}\n" for number in range(500))
    assert "extends more than 100 services deep" in refusal(f"services:\n{chain}  s500: {{image: x}}\n")
    monkeypatch.setattr(extends, "MOST_VALUES", 10)
    told = refusal("services: {a: {extends: b}, b: {image: x, command: [1, 2, 3, 4, 5, 6, 7, 8, 9]}}")
    assert "copies more than 10 values" in told


def test_other_limits_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonical, "MOST_PORTS", 5)
    assert "services.a.ports: more than 5 ports" in refusal(OK + "    ports: ['1-10']\n")
    monkeypatch.setattr(yamltext, "MOST_NODES", 3)
    assert "more than 3 values" in refusal(OK)
    monkeypatch.undo()
    monkeypatch.setattr(interpolate, "MOST_EXPANDED", 10)
    assert "too much text" in refusal(OK + "    command: $A $A $A\n", environment={"A": "xxxxx"})
    monkeypatch.undo()
    monkeypatch.setattr(loading, "MOST_BYTES", 10)
    assert "read more than 0 MiB" in refusal(OK)
    monkeypatch.undo()
    monkeypatch.setattr(loading, "MOST_FILES", 2)
    files: dict[str, str | bytes] = {
        "compose.yaml": "include: [a.yml, a.yml, a.yml]",
        "a.yml": "services: {b: {image: x}}",
    }
    assert "more than 2 Compose files" in refusal(files)


def test_a_value_that_grows_too_long_is_told() -> None:
    told = refusal(OK + "    command: '$A$A$A'\n", environment={"A": "x" * 600_000})
    assert "services.a.command: the value is longer than 1024 KiB" in told


def test_large_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LARGEST_FILE", 1024 * 1024)
    (tmp_path / "compose.yaml").write_bytes(b"a: b\n" * 300_000)
    told = message(lambda: load_project(LoadRequest(working_dir=str(tmp_path), environment={})))
    assert "compose.yaml is larger than 1 MiB" in told


@pytest.mark.parametrize("kind", ["missing", "directory"])
def test_unreadable_files_are_told(tmp_path: Path, kind: str) -> None:
    if kind == "directory":
        (tmp_path / "x.yml").mkdir()
    request = LoadRequest(working_dir=str(tmp_path), files=("x.yml",), environment={})
    told = message(lambda: load_project(request))
    assert told.startswith("x.yml: cannot read x.yml: " + {"missing": "no such", "directory": "it is a dir"}[kind])


def test_paths_with_nul_characters_are_told(tmp_path: Path) -> None:
    for keys in (
        r'extends: {file: "a\0b", service: c}',
        r'env_file: "a\0b"',
        r'develop: {watch: [{path: "a\0b", action: x}]}',
    ):
        (tmp_path / "compose.yaml").write_text(f"services: {{a: {{image: x, {keys}}}}}")
        assert message(lambda: load_project(LoadRequest(working_dir=str(tmp_path), environment={})))
    assert reader.DiskReader().real("a\0b") == "a\0b"


def test_many_mistakes_and_warnings_stay_cheap() -> None:
    wrong = "".join(f"    k{number}: x\n" for number in range(200_000))
    assert "900 further problems are not shown" in refusal(f"services:\n  a:\n{wrong}")
    unset = "".join(f"      V{number}: $X{number}\n" for number in range(20_000))
    assert len(load(f"services:\n  a:\n    image: x\n    environment:\n{unset}").warnings) == 1000


def test_tags_never_construct_anything() -> None:
    text = OK + "    command: !!python/object/apply:os.system ['touch /tmp/never']\n    hostname: !custom h\n"
    service = load(text).model["services"]["a"]
    assert (service["command"], service["hostname"]) == (["touch /tmp/never"], "h")


@pytest.mark.parametrize(
    "text",
    [
        "services: 1\nnetworks: []\nvolumes: x\nname: {}\nconfigs: 5\nsecrets: [a]\n",
        "services: {a: [], b: 5, c: {image: [x], build: [], ports: {}, volumes: {a: b}, environment: 3}}",
        "services: {a: {networks: 5, deploy: [], healthcheck: x, extends: [], env_file: {}, labels: 1, ulimits: [a]}}",
        "services: {a: {extends: {service: [1]}}, b: {extends: {service: a, file: [1]}}, c: [], d: {extends: c}}",
        "include: [{path: {a: b}, env_file: {c: d}}, 5, null, []]\n",
        "services: {a: {image: x, volumes: [null, [], 5], ports: [null, []], devices: [{}], configs: [[]]}}",
        "networks: {a: 5, b: {ipam: {config: {}}}}\nvolumes: {c: []}\nmodels: {m: {}}",
    ],
)
def test_values_of_the_wrong_kind_are_problems_not_crashes(text: str) -> None:
    with pytest.raises(HavreError) as raised:
        load(text)
    assert all(problem.at is not None for problem in raised.value.problems)


def test_wrong_kinds_survive_without_validation_of_extended_files() -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": "services: {a: {image: x, extends: {file: o.yml, service: b}}}",
        "o.yml": "services: {b: {depends_on: 5, ports: 6, networks: x, build: [], env_file: 7, ulimits: 1}}",
    }
    assert "o.yml:1:" in refusal(files)
    files["o.yml"] = "services: []"
    assert "not found in o.yml" in refusal(files)
