"""Runs every check over a case and sorts what they found: what counts, and what is waived until when."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from havre.checks.case import Case, Check
from havre.checks.procfile import processes_of, with_place
from havre.errors import Location, Problem, Severity
from havre.model.app import Waiver

_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
WAIVER_CHECKS = ("waiver-expired", "waiver-unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waived:
    """A problem that the user set aside, and the waiver that says why."""

    problem: Problem
    waiver: Waiver

    def __str__(self) -> str:
        until = f" (until {self.waiver.until})" if self.waiver.until else ""
        first = str(self.problem).split("\n", 1)[0]
        return f"{self.waiver.check} waived{until}: {self.waiver.reason}\n    {first}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the checks found, errors first; `ran` are the ids of the checks that looked."""

    problems: tuple[Problem, ...] = ()
    waived: tuple[Waived, ...] = ()
    ran: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What stops a release."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is shown and does not stop a release."""
        return tuple(problem for problem in self.problems if problem.severity is not Severity.ERROR)

    def __str__(self) -> str:
        parts = [f"{problem.severity.value}[{problem.code}] {problem}" for problem in self.problems]
        parts += map(str, self.waived)
        counts = f"{_count(len(self.errors), 'error')}, {_count(len(self.warnings), 'warning')}"
        waived = f", {len(self.waived)} waived" if self.waived else ""
        return "\n".join([*parts, f"{_count(len(self.ran), 'check')}: {counts}{waived}"])


def run_checks(case: Case, checks: Sequence[Check], *, today: str, also_known: Collection[str] = ()) -> Report:
    """Every problem of `case`, sorted and deduplicated; `today` (ISO date) decides which waivers still hold.

    `also_known` are ids that are no checks and may be waived as well.
    """
    found: dict[Problem, None] = {}
    processes = processes_of(case)
    for check in checks:
        for problem in check.find(case):
            milder = max(check.severity, problem.severity, key=lambda severity: _RANK[severity])
            told = with_place(problem, processes, case.app.compose)
            found.setdefault(replace(told, code=check.id, severity=milder))
    counted: list[Problem] = []
    waived: list[Waived] = []
    for problem in found:
        waiver = covering(case.app.waivers, problem, today)
        if waiver:
            waived.append(Waived(problem=problem, waiver=waiver))
        else:
            counted.append(problem)
    counted += _about_waivers(case, {check.id for check in checks} | {*also_known}, today)
    return Report(
        problems=tuple(sorted(counted, key=_order)),
        waived=tuple(sorted(waived, key=lambda one: _order(one.problem))),
        ran=tuple(check.id for check in checks),
    )


def covering(waivers: Iterable[Waiver], problem: Problem, today: str) -> Waiver | None:
    """The first waiver that sets a problem aside today."""
    return next((waiver for waiver in waivers if _covers(waiver, problem, today)), None)


def _covers(waiver: Waiver, problem: Problem, today: str) -> bool:
    if waiver.check != problem.code or not _holds(waiver, today):
        return False
    return waiver.subject in (None, problem.subject)


def _holds(waiver: Waiver, today: str) -> bool:
    return waiver.until is None or today <= waiver.until


def _about_waivers(case: Case, ids: Collection[str], today: str) -> Iterator[Problem]:
    known = sorted(ids)
    for index, waiver in enumerate(case.app.waivers):
        at = case.app.place(f"waivers[{index}]")
        if waiver.check not in known:
            close = get_close_matches(waiver.check, known, n=1)
            yield Problem(
                summary=f"a waiver names the check `{waiver.check}`, which does not exist",
                hint=f"did you mean `{close[0]}`?"
                if close
                else "`havre check --list` and `havre checklist --list` show the ids",
                at=at,
                code="waiver-unknown",
                severity=Severity.WARNING,
            )
        elif not _holds(waiver, today):
            yield Problem(
                summary=f"the waiver of `{waiver.check}` ended on {waiver.until}",
                hint="correct what it set aside, or give it a new date and reason",
                at=at,
                evidence=(f"reason: {waiver.reason}",),
                code="waiver-expired",
                severity=Severity.WARNING,
            )


def _order(problem: Problem) -> tuple[int, str, int, int, str, str, str]:
    at = problem.at or Location("~")
    return (_RANK[problem.severity], at.file, at.line, at.column, problem.code, problem.subject, problem.summary)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
