"""Admission: has the server the memory and disk for all apps and the surplus of this release (F21, F50, L13)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from havre.checks.case import Case, Check
from havre.checks.claims import memory_of, surplus_of
from havre.errors import Problem, Severity
from havre.model.project import Project
from havre.model.server import Claim, Disk
from havre.model.units import GIB, MIB, show_bytes

LEAST_RESERVE = 384 * MIB
MOST_RESERVE = 2 * GIB
LEAST_FREE = 512 * MIB
"""Bytes of disk below which nothing is deployed: a full disk stops databases."""

LOW_FREE = 2 * GIB
LEAST_LIMIT = 16
"""MiB below which a lowered limit is no proposal: nothing runs with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLine:
    """One line of the memory table; `note` says where the figure comes from."""

    name: str
    size: int
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The server's memory, what is asked of it, and whether that fits; `str` is the table."""

    total: int
    lines: tuple[BudgetLine, ...]

    @property
    def asked(self) -> int:
        """The sum of all lines, in bytes."""
        return sum(line.size for line in self.lines)

    @property
    def left(self) -> int:
        """What remains; negative when it does not fit."""
        return self.total - self.asked

    @property
    def fits(self) -> bool:
        """Whether all of it can be used at the same time."""
        return self.left >= 0

    def __str__(self) -> str:
        rows = [(line.name, show_bytes(line.size), line.note) for line in self.lines]
        rows += [("asked", show_bytes(self.asked), ""), ("server", show_bytes(self.total), "")]
        rows.append(("left", show_bytes(self.left), "") if self.fits else ("missing", show_bytes(-self.left), ""))
        wide = max(len(name) for name, _, _ in rows)
        figures = max(len(size) for _, size, _ in rows)
        return "\n".join(f"{name:<{wide}}  {size:>{figures}}  {note}".rstrip() for name, size, note in rows)


def reserve_for(total: int) -> int:
    """What the system keeps: a quarter, at least 384 MiB and at most 2 GiB."""
    return min(max(total // 4, LEAST_RESERVE), MOST_RESERVE)


def admission(
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
    table = admission(
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
                summary="it has no memory limit",
                subject=service.name,
                at=case.place(f"services.{service.name}"),
                effect="one leak in it can take the memory of every app on this server",
                hint=f"add `mem_limit`, for example `{_proposed_limit(dict(case.peaks).get(service.name))}`",
            )


def _proposed_limit(peak: int | None) -> str:
    """Half as much again as was seen, in whole steps of 64 MiB."""
    if not peak:
        return "256m"
    return f"{-(-peak * 3 // 2 // (64 * MIB)) * 64}m"


def _disks(case: Case) -> Iterator[Problem]:
    for disk in case.server.disks if case.server else ():
        logs = _log_space(case.project) if disk.purpose == "images" else 0
        if disk.free < LEAST_FREE + logs:
            yield _disk_problem(disk, LEAST_FREE + logs, Severity.ERROR)
        elif disk.free < min(LOW_FREE, disk.total // 10):
            yield _disk_problem(disk, min(LOW_FREE, disk.total // 10), Severity.WARNING)


def _log_space(project: Project) -> int:
    """Bytes the logs of all replicas may take by their own limits."""
    total = 0
    for service in project.services:
        options = dict(service.logging.options) if service.logging else {}
        size = _bytes(options.get("max-size", "0"))
        files = int(options["max-file"]) if options.get("max-file", "").isdigit() else 1
        total += size * files * service.replicas
    return total


def _bytes(text: str) -> int:
    powers = {"k": 1024, "m": MIB, "g": GIB}
    digits = text.rstrip("bB").rstrip("kKmMgG")
    unit = text.rstrip("bB")[len(digits) :].lower()
    return int(digits) * powers.get(unit, 1) if digits.isdigit() else 0


def _disk_problem(disk: Disk, needed: int, severity: Severity) -> Problem:
    return Problem(
        summary=f"{disk.path} ({disk.purpose}) has {show_bytes(disk.free)} free; {show_bytes(needed)} are needed",
        subject=disk.purpose,
        evidence=(f"{show_bytes(disk.total)} in all",),
        effect="a full disk stops databases in the middle of a write",
        hint=f"`du -xh -d2 {disk.path}` shows what takes the space; old images go first, volumes never by themselves",
        severity=severity,
    )


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
    Check(
        id="disk-space",
        severity=Severity.ERROR,
        title="there is disk space for images, logs and backups",
        doc="Less than 512 MiB free (and the space logs may take) is refused, less than 2 GiB or a tenth warned about.",
        find=_disks,
    ),
)
