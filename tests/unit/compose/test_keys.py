"""Every key of the Compose Specification has a treatment on every engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from havre.compose import lower_service
from havre.compose.key_paths import key_of
from havre.compose.key_rows import honoured, joined, rows
from havre.compose.keys import ENGINES, KEYS, Kind, treatment
from havre.compose.shapes import Shape
from havre.compose.specification import DOCUMENT
from havre.engines.docker import options

ENGINE_MAP = Path(__file__).parents[4] / "shared/conformance/compose/engine_map.json"


@pytest.mark.skipif(not ENGINE_MAP.exists(), reason=f"the list of the specification's keys is not at {ENGINE_MAP}")
def test_the_table_has_exactly_the_specifications_keys() -> None:
    known = json.loads(ENGINE_MAP.read_text())["keys"]
    assert set(KEYS) == set(known)
    assert len(KEYS) == 353


@pytest.mark.skipif(not ENGINE_MAP.exists(), reason=f"the list of the specification's keys is not at {ENGINE_MAP}")
def test_a_key_the_oldest_engine_cannot_do_is_never_simply_honoured() -> None:
    known = json.loads(ENGINE_MAP.read_text())["keys"]
    newer = {key: tuple(map(int, fact["min_api"].split("."))) for key, fact in known.items() if "min_api" in fact}
    done_by_havre = {"services.*.volumes.[].bind.create_host_path"}
    for key in newer.keys() - done_by_havre:
        assert treatment(key, "docker", (1, 41)).kind is not Kind.HONOURED, key
        row = KEYS[key]
        assert row.since == newer[key] or row.docker.kind is Kind.REFUSED, key


def test_every_key_the_loader_accepts_has_a_treatment() -> None:
    missing = [key for key in _keys_of(DOCUMENT, "") if key not in KEYS]
    assert not missing


def _keys_of(shape: Shape, prefix: str) -> Iterator[str]:
    """The named keys of a shape, as the table writes them."""
    for name, below in (shape.keys or {}).items():
        path = f"{prefix}.{name}" if prefix else name
        yield path
        yield from _keys_of(below, path)
    if shape.every is not None:
        yield from _keys_of(shape.every, f"{prefix}.*")
    if shape.items is not None:
        yield from _keys_of(shape.items, f"{prefix}.[]")


@pytest.mark.parametrize("engine", [*ENGINES, "memory"])
def test_what_is_changed_says_how_and_what_is_refused_says_what_to_do(engine: str) -> None:
    for key in KEYS:
        for api in ((1, 41), (1, 99)):
            found = treatment(key, engine, api)
            assert found.why or found.kind is Kind.HONOURED, key
            assert bool(found.instead) == (found.kind is Kind.REFUSED), key


def test_what_is_honoured_on_docker_is_lowered_or_passed_on_by_that_engine() -> None:
    by_hooks = {"post_start", "pre_stop"}
    done = lower_service.READ | options.HONOURED.keys() | by_hooks
    for key, row in KEYS.items():
        parts = key.split(".")
        if parts[:2] == ["services", "*"] and len(parts) == 3 and row.docker.kind is Kind.HONOURED:
            assert parts[2] in done, key


def test_a_newer_docker_engine_can_do_more() -> None:
    key = "services.*.volumes.[].volume.subpath"
    assert treatment(key, "docker", (1, 44)).kind is Kind.REFUSED
    assert treatment(key, "docker", (1, 45)).kind is Kind.HONOURED


def test_engines_differ() -> None:
    assert treatment("services.*.cap_add", "docker").kind is Kind.HONOURED
    assert treatment("services.*.cap_add", "memory").kind is Kind.HONOURED
    assert treatment("services.*.cap_add", "process").kind is Kind.CHANGED


def test_a_key_in_no_list_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        treatment("services.*.memory", "docker")


def test_a_key_in_two_tables_is_a_mistake_of_ours() -> None:
    table = rows("services.*", "image", honoured())
    with pytest.raises(ValueError, match=r"in two tables: services\.\*\.image"):
        joined(table, table)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (("services",), "services"),
        (("services", "web"), None),
        (("services", "web", "ports", 0, "target"), "services.*.ports.[].target"),
        (("services", "web", "ports", 0), None),
        (("services", "web", "environment", "image"), None),
        (("services", "web", "depends_on", "condition", "condition"), "services.*.depends_on.*.condition"),
        (("services", "web", "command", 0), None),
        (("networks", "external", "external"), "networks.*.external"),
        (("services", "web", "nonsense"), None),
    ],
)
def test_the_key_of_a_path(path: tuple[str | int, ...], key: str | None) -> None:
    assert key_of(path) == key
