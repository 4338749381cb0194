"""The normal forms of 1,200 public and recorded Compose projects, lowered, reported and printed.

They lie beside the repository (`../shared`) and are not part of it; without them these tests are skipped.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from havre.compose.format import to_json, to_yaml
from havre.compose.keys import Kind
from havre.compose.lower import lower
from havre.compose.report import compose_report
from havre.compose.tree import Origin
from havre.errors import InputError, Location
from havre.model.project import Project
from havre.model.project_json import project_from_json, project_to_json

SUITE = Path(__file__).parents[4] / "shared/conformance/compose"
FILES = [*sorted(SUITE.glob("cases/full-*.jsonl")), *sorted(SUITE.glob("**/realworld*.jsonl"))]

pytestmark = pytest.mark.skipif(not FILES, reason=f"the recorded projects are not at {SUITE}")


@dataclass(frozen=True)
class Recorded:
    """A recorded normal form; every place is the path itself."""

    model: Mapping[str, Any]
    consumed: tuple[()] = ()
    config_contents: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.model["name"])

    def origin(self, path: str) -> Origin:
        return Origin(location=Location(path))


@cache
def recorded() -> tuple[Recorded, ...]:
    return tuple(Recorded(model=case["expect"]["model"]) for case in _cases() if case["expect"]["ok"])


def _cases() -> Iterator[Any]:
    for file in FILES:
        with file.open() as lines:
            yield from map(json.loads, lines)


@cache
def lowered() -> tuple[tuple[Recorded, Project], ...]:
    return tuple((form, made) for form, made in _outcomes() if isinstance(made, Project))


@cache
def _outcomes() -> tuple[tuple[Recorded, Project | InputError], ...]:
    return tuple((form, _lowered_or_refused(form)) for form in recorded())


def _lowered_or_refused(form: Recorded) -> Project | InputError:
    try:
        return lower(form, instance="instance")
    except InputError as error:
        return error


def test_almost_every_project_can_be_lowered_and_the_rest_is_refused_with_a_place() -> None:
    problems = [made.problems for _, made in _outcomes() if isinstance(made, InputError)]
    assert all(problem.at and problem.hint for found in problems for problem in found)
    refused = Counter(problem.code for found in problems for problem in found)
    print(f"{len(recorded())} recorded projects, {len(problems)} refused: {dict(refused)}")
    assert len(recorded()) > 800
    assert set(refused) <= {"compose.port-twice", "compose.mount-type", "compose.provider", "compose.crowded"}
    assert len(problems) <= len(recorded()) // 100


def test_no_service_mount_port_or_variable_is_lost() -> None:
    for form, project in lowered():
        for service in project.services:
            spec = form.model["services"][service.name]
            assert len(service.environment) == len(spec.get("environment") or {})
            assert len(service.mounts) >= len(spec.get("volumes") or ())
            assert len(service.needs) == len(spec.get("depends_on") or {})
            assert len(service.networks) == len(spec.get("networks") or {})
            if spec.get("network_mode") != "host":
                assert len(service.ports) == len(spec.get("ports") or ())
        assert project.service_names == tuple(form.model["services"])


def test_every_project_comes_back_from_its_record() -> None:
    for _, project in lowered():
        assert project_from_json(project_to_json(project)) == project


def test_no_name_of_another_project_is_left() -> None:
    for form, project in lowered():
        networks = [(item.key, item.name, form.model["networks"][item.key]) for item in project.networks]
        volumes = [(item.key, item.name, form.model["volumes"][item.key]) for item in project.volumes]
        for key, name, given in (*networks, *volumes):
            is_default = not given.get("external") and given.get("name") in (None, f"{form.name}_{key}")
            assert name == (f"instance_{key}" if is_default else given.get("name", key))


@pytest.mark.parametrize("engine", ["docker", "process"])
def test_every_key_has_a_treatment(engine: str) -> None:
    kinds: Counter[Kind] = Counter()
    for form in recorded():
        report = compose_report(form, engine)
        assert report.uses
        kinds.update(use.treatment.kind for use in report.uses)
    print(f"{engine}: {', '.join(f'{count} {kind.value}' for kind, count in kinds.items())}")
    assert kinds[Kind.REFUSED] < kinds[Kind.HONOURED] / 50


def test_the_printed_yaml_and_json_are_the_same_project() -> None:
    for form in recorded():
        expected = _as_printed(form.model)
        assert yaml.safe_load(to_yaml(form.model, interpolated=False)) == expected
        assert json.loads(to_json(form.model, interpolated=False)) == expected


def _as_printed(model: Mapping[str, Any]) -> Any:
    """Without the content of secrets, which is never printed."""
    copy = json.loads(json.dumps(model))
    for secret in (copy.get("secrets") or {}).values():
        secret.pop("content", None)
    return copy
