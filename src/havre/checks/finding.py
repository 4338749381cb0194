"""A finding of the diagnosis: a problem, how likely it is the root of the others, and whose trouble it may be."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from havre.errors import Problem, Severity


class Rank(enum.IntEnum):
    """What is told first: what makes other things fail, before what is only one service's own."""

    DISK = 0
    EDGE = 1
    MEMORY = 2
    FULL = 3
    REACHING = 4
    CRASH = 5
    DOWN = 6
    UNHEALTHY = 7
    ROUTE = 8
    NAME = 9
    CERTIFICATE = 10
    SLOW = 11
    UNVERIFIED = 12
    RELEASE = 13
    EXPOSED = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`about` is the service in trouble; `because` another one whose own trouble, when it has any, explains this.

    With `stands` False it is told as a consequence only: by itself it may be over already.
    """

    problem: Problem
    rank: Rank
    about: str = ""
    because: str = ""
    stands: bool = True


def one_per_cause(findings: Iterable[Finding]) -> tuple[Problem, ...]:
    """The most likely first; what follows from another finding becomes a line of that one's effect."""
    ordered = _of_all_replicas(sorted(findings, key=_order))
    by_service = {finding.about: finding for finding in reversed(ordered) if finding.about}
    told = {id(finding): finding.problem for finding in ordered}
    for finding in ordered:
        root = _root(finding, by_service)
        if root is not None:
            told[id(root)] = _with_effect(told[id(root)], finding)
        if root is not None or not finding.stands:
            del told[id(finding)]
    return tuple(dict.fromkeys(told[id(finding)] for finding in ordered if id(finding) in told))


def only(findings: Sequence[Finding], service: str) -> tuple[Finding, ...]:
    """Those about a service, those that explain them, and those about the server as a whole."""
    wanted = {service, way_to(service), visit_of(service)} | {
        finding.because for finding in findings if finding.about == service
    }
    return tuple(finding for finding in findings if not finding.about or finding.about in wanted)


def way_to(service: str) -> str:
    """What a finding about the way from the edge to a service is about."""
    return f"way to {service}"


def visit_of(service: str) -> str:
    """What a finding about what visitors of a service get is about."""
    return f"visit of {service}"


def _order(finding: Finding) -> tuple[bool, int, str, str]:
    """What is broken before what will be."""
    problem = finding.problem
    return (problem.severity is not Severity.ERROR, finding.rank, finding.about, problem.subject)


def _of_all_replicas(findings: Sequence[Finding]) -> list[Finding]:
    """Replicas of one service with the same trouble are told as one."""
    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        own = finding.problem.subject if not finding.about else finding.about
        alike.setdefault((own, finding.problem.code, finding.problem.summary), []).append(finding)
    return [_joined(same) for same in alike.values()]


def _joined(same: Sequence[Finding]) -> Finding:
    first = same[0]
    subjects = ", ".join(dict.fromkeys(finding.problem.subject for finding in same))
    return replace(first, problem=replace(first.problem, subject=subjects))


def _root(finding: Finding, by_service: dict[str, Finding]) -> Finding | None:
    """The finding at the end of the chain of blame; None for one that stands on its own."""
    seen = {finding.about}
    found: Finding | None = None
    while finding.because and finding.because not in seen and finding.because in by_service:
        seen.add(finding.because)
        found = finding = by_service[finding.because]
    return found


def _with_effect(root: Problem, finding: Finding) -> Problem:
    subject = finding.problem.subject
    line = f"{subject}: {finding.problem.summary}" if subject else finding.problem.summary
    severity = Severity.ERROR if finding.problem.severity is Severity.ERROR else root.severity
    return replace(root, effect=f"{root.effect}; {line}" if root.effect else line, severity=severity)
