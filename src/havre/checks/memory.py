"""Admission: has the server the memory for all apps and the surplus of this release (F21, L13)?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from havre.checks.admission import Admission, BudgetLine
from havre.checks.case import Case, Check
from havre.checks.claims import memory_of, surplus_of
from havre.errors import Problem, Severity
from havre.model.project import Project
from havre.model.server import Claim
from havre.model.units import GIB, MIB, show_bytes

LEAST_RESERVE = 384 * MIB
MOST_RESERVE = 2 * GIB
LEAST_LIMIT = 16
"""MiB below which a lowered limit is no proposal: nothing runs with it."""


def reserve_for(total: int) -> int:
    """What the system keeps: a quarter, at least 384 MiB and at most 2 GiB."""
    return min(max(total // 4, LEAST_RESERVE), MOST_RESERVE)


def memory_table(
    *,
    total: int,
    project: Project,
    instance: str,
    claims: Iterable[Claim] = (),
    changed: Collection[str] | None = None,
    peaks: Iterable[tuple[str, int]] = (),
    reserve: int | None = None,
) -> Admission:
    """The table of L13: the system's reserve, every other app, this app's services, and this release's surplus.

    The surplus is what new replicas need beside the old ones. Only one release runs at a time per app; that two
    apps release in the same minute is not counted. Sizes in bytes.
    """
    watched = tuple(peaks)
    lines = [BudgetLine(name="system", size=reserve_for(total) if reserve is None else reserve, note="kept free")]
    for claim in sorted(claims):
        if claim.kind == "memory" and claim.instance != instance:
            lines.append(BudgetLine(name=claim.instance, size=int(claim.value), note=claim.detail))
    lines += _own_lines(project, instance, watched)
    surplus = surplus_of(project, changed, watched)
    if surplus:
        lines.append(BudgetLine(name="this release", size=surplus, note="new replicas beside the old ones"))
    return Admission(total=total, lines=tuple(lines))


def _own_lines(project: Project, instance: str, peaks: tuple[tuple[str, int], ...]) -> Iterator[BudgetLine]:
    for service in project.services:
        if service.name in project.jobs or service.replicas == 0:
            continue
        times = f"{service.replicas} x " if service.replicas > 1 else ""
        if service.resources.memory:
            note = f"{times}{show_bytes(service.resources.memory)} limit" if times else "limit"
        else:
            seen = dict(peaks).get(service.name)
            note = f"{times}no limit; {'observed peak' if seen else 'assumed'}"
        yield BudgetLine(name=f"{instance}/{service.name}", size=memory_of(service, peaks), note=note)


def _memory(case: Case) -> Iterator[Problem]:
    if case.server is None or not case.server.memory_total:
        return
    table = memory_table(
        total=case.server.memory_total,
        project=case.project,
        instance=case.app.instance,
        claims=case.server.claims,
        changed=case.changed,
        peaks=case.peaks,
        reserve=case.reserve,
    )
    if not table.fits:
        yield Problem(
            summary=f"this server lacks {show_bytes(-table.left)} of memory for all that its apps may use",
            subject=case.app.instance,
            evidence=tuple(str(table).splitlines()),
            effect="under load the kernel would swap, then kill processes, of other apps too",
            hint=f"{_what_fits(case, -table.left)}; or waive `memory-admission` with a reason and a date",
        )


def _what_fits(case: Case, missing: int) -> str:
    """Limits with which it all fits, lowered in proportion; a release's surplus shrinks with them."""
    own = {one.name: memory_of(one, case.peaks) for one in case.services() if one.replicas}
    asked = sum(own.values()) + surplus_of(case.project, case.changed, case.peaks)
    left = asked - missing
    lowered = {one.name: one.resources.memory * left // asked // MIB for one in case.services() if one.resources.memory}
    if left <= 0 or not lowered or len(lowered) < len(own) or min(lowered.values()) < LEAST_LIMIT:
        return "lower limits or replicas, or move an app to another server"
    limits = ", ".join(f"{name} `mem_limit: {size}m`" for name, size in lowered.items())
    return f"it fits with {limits}"


def _unlimited(case: Case) -> Iterator[Problem]:
    for service in case.services():
        if service.resources.memory is None:
            yield Problem(
                summary="nothing limits the memory",
                subject=service.name,
                at=case.place(f"services.{service.name}"),
                evidence=(_proposed_limit(dict(case.peaks).get(service.name)),),
                effect="one leak can take the memory of every app on this server",
                hint="add `mem_limit`, with room above what was seen",
            )


def _proposed_limit(peak: int | None) -> str:
    """Half as much again as was seen, in whole steps of 64 MiB."""
    if not peak:
        return "never seen running here; try `mem_limit: 256m`"
    return f"used {show_bytes(peak)} at most; try `mem_limit: {-(-peak * 3 // 2 // (64 * MIB)) * 64}m`"


CHECKS = (
    Check(
        id="memory-admission",
        severity=Severity.ERROR,
        title="the server has the memory for all apps and this release",
        doc=(
            "The limits of all apps, plus what a release needs while old and new replicas run side by side, plus a "
            "reserve for the system (a quarter, 384 MiB to 2 GiB), must fit into the server's memory. A service "
            "without a limit counts with the most it was seen to use."
        ),
        find=_memory,
    ),
    Check(
        id="memory-limit",
        severity=Severity.WARNING,
        title="every service has a memory limit",
        doc="Without a limit one service can take the memory of all others.",
        find=_unlimited,
    ),
)
