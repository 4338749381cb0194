"""Corners of the phases that whole projects seldom reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from compose_folder import HERE, Folder, load, refusal

from havre.compose import LoadRequest, load_project, yamltext
from havre.compose.consistency import check_values
from havre.compose.environment import Environment
from havre.compose.findings import Findings
from havre.compose.loading import Loading
from havre.compose.merge import go_text
from havre.compose.normalise import normalise, set_defaults
from havre.compose.paths import PathResolver
from havre.compose.reader import DiskReader
from havre.compose.selection import drop_unused
from havre.compose.shapes import LIST, check, mapping, one
from havre.compose.tree import Map, Seq, Sources, drop, located, plain, spot_along
from havre.compose.values import convert_values
from havre.errors import Location


def test_a_path_that_ends_early_has_the_place_of_its_last_step() -> None:
    tree = Map({"a": Seq([1], [7])}, {"a": 5})
    assert spot_along(tree, ("a", 0, "b")) == 7
    assert spot_along(tree, ("a", 3)) == 5
    assert spot_along(tree, ("z",)) == 0


def test_dropping_what_is_not_there_is_nothing() -> None:
    tree = located({"a": {"b": 1}, "c": [1]})
    for path in ((), ("z", "y"), ("c", 0), ("a", "z")):
        drop(tree, path)
    assert plain(tree) == {"a": {"b": 1}, "c": [1]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (1.0, "1"),
        (1e-7, "1e-07"),
        (1e20, "100000000000000000000"),
        (1.5e22, "1.5e+22"),
        (float("inf"), "+Inf"),
        (float("nan"), "NaN"),
    ],
)
def test_numbers_become_text_as_compose_writes_them(value: Any, text: str) -> None:
    assert go_text(value) == text


@pytest.mark.parametrize(
    ("path", "home", "absolute"),
    [
        ("a/../b", "/h", "/base/b"),
        ("/x", "/h", "/x"),
        ("~", "/h", "/h"),
        ("~/a", "/h", "/h/a"),
        ("~/a", "", "/base/~/a"),
        ("~user", "/h", "/base/~user"),
        ("\\\\.\\pipe\\x", "/h", "\\\\.\\pipe\\x"),
        ("", "/h", ""),
    ],
)
def test_paths_start_at_the_base_or_at_home(path: str, home: str, absolute: str) -> None:
    resolver = PathResolver("/base", home, Findings(Sources()), lambda real: real)
    assert resolver.absolute(path) == absolute


def test_watched_paths_follow_symbolic_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert DiskReader().real(str(tmp_path / "link")) == str(tmp_path / "real")
    assert DiskReader().is_dir(str(tmp_path / "link"))


def test_resources_nobody_uses_can_be_dropped() -> None:
    root = located(
        {
            "services": {
                "a": {"networks": {"n": None}, "volumes": [{"source": "v"}], "build": {"secrets": [{"source": "s"}]}}
            },
            "networks": {"n": {}, "m": {}},
            "volumes": {"v": {}, "w": {}},
            "secrets": {"s": {}, "t": {}},
        }
    )
    drop_unused(root)
    assert [list(root[section]) for section in ("networks", "volumes", "secrets")] == [["n"], ["v"], ["s"]]


def test_empty_address_pools_take_the_other_side() -> None:
    pool = "networks: {n: {ipam: {config: [{subnet: 10.0.0.0/24}]}}}"
    none = "networks: {n: {ipam: {config: []}}}"
    for first, second in ((pool, none), (none, pool)):
        files: dict[str, str | bytes] = {"1.yml": first, "2.yml": second}
        model = load(files, files=("1.yml", "2.yml")).model
        assert model["networks"]["n"]["ipam"]["config"] == [{"subnet": "10.0.0.0/24"}]


@pytest.mark.parametrize(
    ("base", "override", "result"),
    [
        ("build: ", "build: {target: t}", {"target": "t", "context": "/work", "dockerfile": "Dockerfile"}),
        ("build: a", "build: ", {"context": "/work/a", "dockerfile": "Dockerfile"}),
    ],
)
def test_a_build_without_value_merges(base: str, override: str, result: dict[str, str]) -> None:
    files: dict[str, str | bytes] = {
        "1.yml": f"services: {{a: {{image: x, {base}}}}}",
        "2.yml": f"services: {{a: {{image: x, {override}}}}}",
    }
    if base == "build: ":
        assert "services.a.build: must be" in refusal(files, files=("1.yml", "2.yml"))
    else:
        assert load(files, files=("1.yml", "2.yml")).model["services"]["a"]["build"] == result


def test_explicit_tags_change_the_kind() -> None:
    text = "services: {a: {image: !!str 5, scale: !!int '2', cpus: !!float 1, init: !!bool 'true', command: !!null ''}}"
    service = load(text).model["services"]["a"]
    assert (service["image"], service["scale"], service["cpus"], service["init"]) == ("5", 2, 1, True)
    assert "command" not in service


def test_override_on_a_scalar_and_reset_through_an_alias() -> None:
    text = "x-r: &r !reset gone\nservices: {a: {image: !override x, hostname: *r, <<: !reset {}}}"
    assert load(text).model["services"]["a"] == {"image": "x", "networks": {"default": None}}


def test_files_outside_the_directory_are_shown_in_full() -> None:
    loading = Loading(reader=Folder({}), base="/work")
    assert loading.shown("/work/a/b") == "a/b"
    assert loading.shown("/workshop/a") == "/workshop/a"


def test_a_name_that_cannot_be_expanded_is_told_at_its_place() -> None:
    told = refusal("name: ${N:?}\nservices: {a: {image: x}}")
    assert told.startswith("compose.yaml:1:1: name: required variable N is missing a value")


def test_warnings_are_told_once() -> None:
    findings = Findings(Sources())
    for _ in range(2):
        findings.warn("w", hint="h", at=Location("f"), code="c")
    assert len(findings.warnings) == 1
    findings.stop_on_errors()


def test_environment_lists_may_name_variables_of_an_included_project() -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": "include: [sub/compose.yml]",
        "sub/compose.yml": "services: {a: {image: x, environment: [T, U=1, NONE]}}",
        "sub/.env": "T=sub",
    }
    assert load(files).model["services"]["a"]["environment"] == {"T": "sub", "U": "1", "NONE": None}


def test_mixed_volume_notations_with_mistakes_are_told_once() -> None:
    told = refusal("services: {a: {image: x, volumes: ['/a::ro', '/b::ro']}}")
    assert told.count("empty section between colons") == 2


def test_unvalidated_bases_with_wrong_kinds_are_told_once_merged() -> None:
    wrong = (
        "env_file: [5], depends_on: {x: 5}, healthcheck: [], volumes: [5, {type: volume, target: 6}], "
        "ulimits: {a: {soft: x}}"
    )
    files: dict[str, str | bytes] = {
        "compose.yaml": "services: {a: {image: x, extends: {file: o.yml, service: b}}}",
        "o.yml": f"services: {{b: {{{wrong}}}}}\nnetworks: [x]",
    }
    told = refusal(files)
    assert "services.a.depends_on.x: must be a mapping, not '5'" in told
    assert "services.a.healthcheck: must be a mapping" in told
    assert "services.a.env_file[0]: must be a mapping or string, not '5'" in told


def test_phases_take_what_validation_would_have_refused() -> None:
    root = located(
        {
            "services": {
                "a": {"environment": 5, "build": {"args": 5, "ssh": "x"}, "labels": 3, "extra_hosts": 4},
                "b": None,
                "c": 5,
                "d": {"volumes": [{"type": "bind", "target": 5, "bind": 5}]},
            },
            "networks": 5,
            "volumes": {"v": 5},
            "secrets": {"s": 5},
        }
    )
    normalise(root, "p", Environment.of({}))
    findings = Findings(Sources())
    check_values(root, findings)
    set_defaults(root)
    convert_values(located({"services": {"a": 5}}), findings)
    convert_values(root, findings)
    assert findings.errors == []
    assert root["networks"] == {"default": {"name": "p_default"}}


def test_short_forms_with_unresolved_variables_stay_as_they_are() -> None:
    written = "services: {a: {image: x, volumes: ['$A::b', '$V:/data'], networks: [$N]}}"
    service = load(written, resolve=False).model["services"]["a"]
    assert service["volumes"] == ["$A::b", {"type": "volume", "source": "$V", "target": "/data", "volume": {}}]
    assert service["networks"] == {"$N": None}


def test_a_file_is_read_once_however_many_services_extend_it() -> None:
    extends = "extends: {file: o.yml, service: b}, ports: !reset []"
    folder = Folder(
        {
            "compose.yaml": f"services: {{a: {{{extends}}}, c: {{{extends}}}}}",
            "o.yml": "services: {b: {image: x, ports: ['80']}}",
        }
    )
    services = load_project(LoadRequest(working_dir=HERE, environment={}), read=folder).model["services"]
    assert folder.reads.count(f"{HERE}/o.yml") == 1
    assert services["a"] == services["c"] == {"image": "x", "networks": {"default": None}}


def test_what_a_file_resets_elsewhere_leaves_an_included_service_alone() -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": (
            "include: [o.yml]\nservices: {b: {command: [mine]}}\nnetworks: {default: {labels: !reset {}}}"
        ),
        "o.yml": "services: {b: {image: x, command: [theirs]}}",
    }
    assert load(files).model["services"]["b"]["command"] == ["mine"]


def test_lists_of_names_merge_with_each_other_and_with_nothing() -> None:
    base = (
        "services: {a: {image: x, models: [m], depends_on: [b]}, b: {image: x}}\nmodels: {m: {model: x}, k: {model: y}}"
    )
    override = "services: {a: {models: [k], depends_on: }}"
    service = load({"1.yml": base, "2.yml": override}, files=("1.yml", "2.yml")).model["services"]["a"]
    assert service["models"] == {"m": None, "k": None}
    assert list(service["depends_on"]) == ["b"]


def test_a_local_volume_that_binds_nothing_keeps_its_device() -> None:
    volume = "{driver: local, driver_opts: {type: nfs, device: ':/exports/data'}}"
    model = load(f"services: {{a: {{image: x}}}}\nvolumes: {{v: {volume}}}").model
    assert model["volumes"]["v"]["driver_opts"]["device"] == ":/exports/data"


def test_a_list_without_a_shape_for_its_items_takes_anything() -> None:
    findings = Findings(Sources())
    check(located({"a": [1, {"b": None}]}), mapping({"a": one(LIST)}), findings)
    assert findings.errors == []


def test_aliases_that_repeat_little_are_fine_in_a_large_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yamltext, "_FREE_ALIASED", 0)
    monkeypatch.setattr(yamltext, "_FREE_NODES", 0)
    model = load("x-image: &image x\nservices: {a: {image: *image}}").model
    assert model["services"]["a"]["image"] == "x"


def test_address_pools_follow_the_last_file_as_in_the_reference() -> None:
    one = "networks: {n: {ipam: {config: [{subnet: a}, {subnet: b}]}}}"
    two = "networks: {n: {ipam: {config: [{subnet: b, gateway: g}, {subnet: c}]}}}"
    files: dict[str, str | bytes] = {"1.yml": one, "2.yml": two}
    pools = load(files, files=("1.yml", "2.yml")).model["networks"]["n"]["ipam"]["config"]
    assert [pool["subnet"] for pool in pools] == ["b", "c"]
    assert pools[0]["gateway"] == "g"


def test_sub_second_durations_and_one_sided_ulimits() -> None:
    text = "services: {a: {image: x, stop_grace_period: 500us, label_file: [], networks: {default: {aliases: [b]}}}}"
    service = load(text).model["services"]["a"]
    assert service["stop_grace_period"] == "500µs"
    assert service["networks"] == {"default": {"aliases": ["b"]}}


def test_env_files_of_one_project_see_each_other() -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": "services: {a: {image: 'x:$B'}}",
        "1.env": "A=1\n",
        "2.env": "B=$A-$C\n",
    }
    assert load(files, env_files=("1.env", "2.env")).model["services"]["a"]["image"] == "x:1-"


def test_an_anchored_key_may_be_used_as_a_value() -> None:
    assert load("services: {&n a: {image: x, hostname: *n}}").model["services"]["a"]["hostname"] == "a"


def test_odd_origin_paths_fall_back_to_what_exists() -> None:
    project = load("services: {a: {image: x, command: [b, c]}}")
    assert project.origin("services.a.command[7]").location.column == 26
    assert project.origin("services.a.command.x").location.column == 26
    assert project.origin("services.a.command[0].x").location.column == 36
    assert project.origin("services.a.command[x").location.column == 26
