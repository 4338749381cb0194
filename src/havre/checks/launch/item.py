"""An item of the production checklist, and what a judgement may say of it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from havre.checks.launch.scene import Scene
from havre.checks.report import Waived
from havre.errors import Problem
from havre.model.diagnosis import Facts
from havre.model.launch import Database

Judge = Callable[[Scene], "Judgement"]


class State(enum.Enum):
    """How an item stands; the value is what people read."""

    PASSED = "passed"
    CONFIRMED = "confirmed"
    WAIVED = "waived"
    FAILED = "failed"
    PERSON = "only a person can say"
    UNSEEN = "could not be looked at"
    NOT_APPLICABLE = "not applicable"


class Level(enum.Enum):
    """Whether a launch without it is a mistake, or merely less good."""

    REQUIRED = "required"
    RECOMMENDED = "recommended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What was seen. Without problems it passed, unless one of the three reasons says why it could not be judged.

    `person` is what only a person can answer, and why the server cannot.
    """

    evidence: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    waived: tuple[Waived, ...] = ()
    not_applicable: str = ""
    unseen: str = ""
    person: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of the list: a stable id, what is true when it passes, and the judgement over what was gathered.

    `looks` are the fields of `Scene` it needs; `promised` the rows of the deployment guides that ask for it; `asks` is
    the question to a person where the server itself cannot know, and only then may a person confirm it, for `days`.
    """

    id: str
    title: str
    doc: str
    judge: Judge
    promised: tuple[str, ...] = ()
    looks: tuple[str, ...] = ()
    level: Level = Level.REQUIRED
    asks: str = ""
    days: int = 180

    @property
    def guides(self) -> tuple[str, ...]:
        """The deployment guides that promise it."""
        return tuple(dict.fromkeys(GUIDES[row[0]] for row in self.promised))


GUIDES = {
    "L": "lexikon-multi-tenant",
    "S": "supplier-platform",
    "M": "mecapy",
    "C": "maicivy",
    "T": "todoapp-generator",
}


def seen(*evidence: str, problems: Iterable[Problem] = ()) -> Judgement:
    """What was seen, and what is wrong with it."""
    return Judgement(evidence=evidence, problems=tuple(problems))


def beside_the_point(reason: str, *evidence: str) -> Judgement:
    """It does not apply here."""
    return Judgement(not_applicable=reason, evidence=evidence)


def only_a_person(reason: str, *evidence: str) -> Judgement:
    """The server cannot know."""
    return Judgement(person=reason, evidence=evidence)


def once_deployed(judge: Callable[[Scene, Facts], Judgement]) -> Judge:
    """A judgement of what runs; without any release there is nothing to judge, and that is a failure."""
    return lambda scene: judge(scene, scene.facts) if scene.facts and scene.facts.serving else not_deployed()


def of_visitors(judge: Judge) -> Judge:
    """A judgement of what visitors meet; beside the point where no route leads to the app."""
    return lambda scene: judge(scene) if scene.hosts else beside_the_point("the app has no routes: no browser comes")


def of_databases(judge: Callable[[Scene, tuple[Database, ...]], Judgement]) -> Judge:
    """A judgement over each PostgreSQL that answered; beside the point where there is none."""

    def judged(scene: Scene) -> Judgement:
        asked = tuple(one for one in scene.databases if not one.error)
        if asked:
            return judge(scene, asked)
        if scene.databases:
            return Judgement(unseen="; ".join(f"{one.service}: {one.error}" for one in scene.databases))
        return beside_the_point("no PostgreSQL runs here")

    return judged


def not_deployed() -> Judgement:
    """No release serves."""
    return seen(problems=[problem("nothing was deployed yet", "`havre plan`, then `havre deploy`")])


def by_checks(scene: Scene, *ids: str, evidence: tuple[str, ...]) -> Judgement:
    """What these checks found: a waiver of one of them counts here too."""
    problems = tuple(problem for problem in scene.report.problems if problem.code in ids)
    waived = tuple(waived for waived in scene.report.waived if waived.problem.code in ids)
    return Judgement(evidence=evidence, problems=problems, waived=waived)


def problem(summary: str, hint: str, *, subject: str = "", evidence: tuple[str, ...] = (), effect: str = "") -> Problem:
    """What is wrong with an item; its id and severity are added by the report."""
    return Problem(summary=summary, hint=hint, subject=subject, evidence=evidence, effect=effect)
