"""Programs are looked up once per image, and never judged where nobody could look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from havre.errors import Problem, UnavailableError
from havre.model.health import HealthCheck
from havre.model.observed import Observed, ObservedImage
from havre.model.project import Project, Service
from havre.workflows.image_programs import STAND_INS, find_programs

WEB = Service(name="web", image="shop:1", health=HealthCheck(test=("curl", "-f", "http://x")))
ABSENT = Service(name="new", image="shop:2", health=HealthCheck(test=("./relative",)))
PROJECT = Project(name="shop", services=(WEB, ABSENT, Service(name="plain", image="shop:1")))
OBSERVED = Observed(instance="shop", images=(ObservedImage(reference="shop:1", id="sha256:1"),))


class Images:
    """An engine that has images, and counts how often somebody looked into one."""

    def __init__(self, there: set[str], *, answers: bool = True) -> None:
        self.there, self.answers = there, answers
        self.looks: list[tuple[str, tuple[str, ...]]] = []

    def programs_in(self, image_id: str, programs: Sequence[str]) -> Mapping[str, bool]:
        self.looks.append((image_id, tuple(programs)))
        if not self.answers:
            raise UnavailableError(Problem(summary="gone", hint="x"))
        return {name: name in self.there for name in programs}


def look(engine: Any, cache: Path) -> Any:
    return find_programs(engine, PROJECT, OBSERVED, cache)


def test_an_image_is_looked_into_once(tmp_path: Path) -> None:
    engine = Images({"wget"})
    has_tool = look(engine, tmp_path / "cache.json")
    assert (has_tool(WEB, "curl"), has_tool(WEB, "wget")) == (False, True)
    assert engine.looks == [("sha256:1", ("curl",)), ("sha256:1", tuple(name for name in STAND_INS if name != "curl"))]
    assert look(engine, tmp_path / "cache.json")(WEB, "curl") is False
    assert len(engine.looks) == 2


def test_stand_ins_are_looked_for_only_where_something_is_missing(tmp_path: Path) -> None:
    engine = Images({"curl"})
    assert look(engine, tmp_path / "cache.json")(WEB, "curl") is True
    assert engine.looks == [("sha256:1", ("curl",))]


def test_what_nobody_looked_for_is_not_known(tmp_path: Path) -> None:
    has_tool = look(Images(set()), tmp_path / "cache.json")
    assert has_tool(WEB, "strange") is None
    assert has_tool(ABSENT, "curl") is None


def test_an_engine_without_images_or_answer_judges_nothing(tmp_path: Path) -> None:
    assert look(object(), tmp_path / "cache.json")(WEB, "curl") is None
    assert look(Images(set(), answers=False), tmp_path / "cache.json")(WEB, "curl") is None


def test_a_damaged_memory_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "cache.json").write_text("not json")
    assert look(Images({"curl"}), tmp_path / "cache.json")(WEB, "curl") is True


def test_a_script_that_a_mount_brings_is_in_no_image(judge: Any) -> None:
    text = """\
services:
  web:
    image: shop:1
    volumes: ['./bin:/opt/bin:ro']
    healthcheck: {test: [CMD, /opt/bin/check]}
  api:
    image: shop:1
    healthcheck: {test: [CMD, /opt/bin/check]}
"""
    found = judge.problems("health-tool", text, has_tool=lambda _service, _program: False)
    assert [one.subject for one in found] == ["api"]
