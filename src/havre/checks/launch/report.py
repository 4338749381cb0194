"""Judges every item over a scene: what passed, what failed, what is waived, and what a person said and until when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from havre.checks.launch.item import Item, Judgement, State
from havre.checks.launch.scene import Scene
from havre.checks.procfile import processes_of, with_place
from havre.checks.report import Waived, covering
from havre.errors import Problem
from havre.model.launch import Confirmation


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How one item stands; `confirmed_at` is when it last passed or was confirmed, in seconds since the epoch."""

    item: Item
    state: State
    evidence: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    waived: tuple[Waived, ...] = ()
    reason: str = ""
    confirmation: Confirmation | None = None
    """The one that counts, or the last one that has ended."""
    confirmed_at: float | None = None

    @property
    def hints(self) -> tuple[str, ...]:
        """What to do next."""
        found = dict.fromkeys(problem.hint for problem in self.problems)
        if self.state is State.PERSON:
            found[f'`havre checklist confirm {self.item.id} --note "…"` records your answer'] = None
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checklist:
    """The whole list of an instance at one moment."""

    instance: str
    at: float
    lines: tuple[Line, ...]

    @property
    def failed(self) -> tuple[Line, ...]:
        """What must be mended before a launch."""
        return tuple(line for line in self.lines if line.state is State.FAILED)

    def counts(self) -> tuple[tuple[State, int], ...]:
        """How many items stand how; states that nothing is in are left out."""
        found = Counter(line.state for line in self.lines)
        return tuple((state, found[state]) for state in State if found[state])


def judge(scene: Scene, items: Sequence[Item]) -> Checklist:
    """Every item, in their order."""
    lines = tuple(_line(scene, item) for item in items)
    return Checklist(instance=scene.case.app.instance, at=scene.now, lines=lines)


def _line(scene: Scene, item: Item) -> Line:
    judgement = _judged(scene, item)
    waived, problems = _without_waived(scene, item, judgement)
    said = next((one for one in scene.confirmations if one.item == item.id), None)
    state, reason = _state(scene, item, judgement, problems, waived, said)
    if state is State.WAIVED and not waived:
        waived = tuple(_waiver_of_item(scene, item))
    return Line(
        item=item,
        state=state,
        evidence=judgement.evidence,
        problems=problems,
        waived=waived,
        reason=reason,
        confirmation=said,
        confirmed_at=_confirmed_at(scene, item, state, said),
    )


def _judged(scene: Scene, item: Item) -> Judgement:
    """Its judgement, unless a look that it needs has failed."""
    for look in item.looks:
        if why := scene.why_unseen(look):
            return Judgement(unseen=why)
    return item.judge(scene)


def _placed(scene: Scene, found: Problem) -> Problem:
    return with_place(found, processes_of(scene.case), scene.case.app.compose)


def _without_waived(scene: Scene, item: Item, judgement: Judgement) -> tuple[tuple[Waived, ...], tuple[Problem, ...]]:
    """(what is waived, what counts): a waiver may name the item itself, or a check that it stands on."""
    waived, counted = list(judgement.waived), []
    for found in judgement.problems:
        problem = found if found.code else replace(_placed(scene, found), code=item.id)
        waiver = covering(scene.case.app.waivers, problem, scene.today) or covering(
            scene.case.app.waivers, replace(problem, code=item.id), scene.today
        )
        if waiver:
            waived.append(Waived(problem=problem, waiver=waiver))
        else:
            counted.append(problem)
    return tuple(waived), tuple(counted)


def _state(
    scene: Scene,
    item: Item,
    judgement: Judgement,
    problems: Sequence[Problem],
    waived: Sequence[Waived],
    said: Confirmation | None,
) -> tuple[State, str]:
    """(how it stands, why). What was seen to be wrong is never confirmed away: only a waiver says that it is meant."""
    if problems:
        return State.FAILED, ""
    if judgement.not_applicable:
        return State.NOT_APPLICABLE, judgement.not_applicable
    open_question = judgement.person or judgement.unseen
    if not open_question:
        return (State.WAIVED, "") if waived else (State.PASSED, "")
    if item.asks and said and scene.today <= said.until:
        return State.CONFIRMED, judgement.person
    if any(_waiver_of_item(scene, item)):
        return State.WAIVED, open_question
    if item.asks:
        return State.PERSON, open_question
    return State.UNSEEN, open_question


def _waiver_of_item(scene: Scene, item: Item) -> list[Waived]:
    """The waiver of a question that nobody wants to answer."""
    question = Problem(summary=item.asks or item.title, hint="answer it, or waive it", code=item.id)
    waiver = covering(scene.case.app.waivers, question, scene.today)
    return [Waived(problem=question, waiver=waiver)] if waiver else []


def _confirmed_at(scene: Scene, item: Item, state: State, said: Confirmation | None) -> float | None:
    if state is State.PASSED:
        return scene.now
    last = dict(scene.passed).get(item.id)
    return max((at for at in (last, said.at if said else None) if at is not None), default=None)
