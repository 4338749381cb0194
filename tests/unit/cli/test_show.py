"""Problems as people read them: what many have in common is told once."""

from __future__ import annotations

import pytest

from havre.cli.show import alike_once, show_problems
from havre.errors import Location, Problem, Severity


def warning(subject: str, line: int, *evidence: str, summary: str = "nothing bounds the log") -> Problem:
    return Problem(
        summary=summary, hint="add `logging`", subject=subject, at=Location("compose.yaml", line, 3),
        evidence=evidence, code="log-rotation", severity=Severity.WARNING,
    )  # fmt: skip


def test_what_is_the_same_of_several_is_one_problem_with_a_line_for_each() -> None:
    (one,) = alike_once([warning("web", 2, "shared", "own"), warning("db", 9, "shared")])
    assert one.subject == "web, db"
    assert one.evidence == ("shared", "web: compose.yaml:2:3; own", "db: compose.yaml:9:3")
    assert one.at is None


def test_what_differs_stays_apart_and_in_its_order() -> None:
    other = warning("api", 5, summary="something else")
    found = alike_once([warning("web", 2), other, warning("db", 9)])
    assert [one.subject for one in found] == ["web, db", "api"]
    assert found[1] == other


def test_one_of_its_kind_is_left_as_it_is() -> None:
    alone = warning("web", 2, "own")
    assert alike_once([alone]) == (alone,)
    assert alike_once([alone, alone]) == (alone,)


def test_of_very_many_the_first_are_named() -> None:
    (one,) = alike_once([warning(f"s{number}", number) for number in range(1, 10)])
    assert one.subject == "s1, s2, s3, s4, s5, s6 and 3 more"
    assert len(one.evidence) == 9


def test_a_place_that_is_its_own_subject_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    show_problems([Problem(summary="git tracks .env", hint="x", subject=".env", at=Location(".env"))], error=False)
    assert capsys.readouterr().out.startswith("error: .env: git tracks .env\n")
