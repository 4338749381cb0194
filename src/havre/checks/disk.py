"""Admission: has each disk the room for new images, builds, logs and the next backups (F50)?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from havre.checks.admission import Admission, BudgetLine
from havre.checks.case import Case, Check
from havre.errors import Problem, Severity
from havre.model.project import Project, Service
from havre.model.server import Claim, Disk, DiskNeed
from havre.model.units import GIB, MIB, show_bytes

KEPT_FREE = 512 * MIB
"""Bytes of disk that stay free whatever is deployed: a full disk stops databases."""

LOW_FREE = 2 * GIB
LEAST_FILES = 5000
"""Free inodes below which nothing is deployed: an image has that many files soon."""


def disk_table(disk: Disk, needs: Iterable[DiskNeed], *, instance: str = "", claims: Iterable[Claim] = ()) -> Admission:
    """What is asked of one disk, beside what is free on it; of the claims, those of other instances than `instance`."""
    lines = [BudgetLine(name="kept free", size=KEPT_FREE, note="a full disk stops databases")]
    lines += [
        BudgetLine(name=one.name, size=one.size, note=one.note)
        for one in needs
        if one.size and disk.serves(one.purpose)
    ]
    for claim in sorted(claims):
        purpose = claim.kind.removeprefix("disk-")
        if claim.kind != purpose and claim.instance != instance and disk.serves(purpose) and int(claim.value):
            lines.append(BudgetLine(name=claim.instance, size=int(claim.value), note=claim.detail))
    return Admission(total=disk.free, lines=tuple(lines), whole="free")


def log_needs(project: Project) -> Iterator[DiskNeed]:
    """What the logs of a project may take, by their own limits."""
    for service in project.services:
        size = _log_space(service) * service.replicas
        if size:
            yield DiskNeed(
                purpose="images", name=f"{project.name}/{service.name}", size=size, note="logs, by their limits"
            )


def _log_space(service: Service) -> int:
    options = dict(service.logging.options) if service.logging else {}
    files = int(options["max-file"]) if options.get("max-file", "").isdigit() else 1
    return _bytes(options.get("max-size", "0")) * files


def _bytes(text: str) -> int:
    powers = {"k": 1024, "m": MIB, "g": GIB}
    digits = text.rstrip("bB").rstrip("kKmMgG")
    unit = text.rstrip("bB")[len(digits) :].lower()
    return int(digits) * powers.get(unit, 1) if digits.isdigit() else 0


def _disks(case: Case) -> Iterator[Problem]:
    for disk in case.server.disks if case.server else ():
        table = disk_table(disk, (*case.disk_needs, *log_needs(case.project)))
        if not table.fits:
            yield _full(case, disk, table)
        elif disk.free < min(LOW_FREE, disk.total // 10):
            yield _filling(case, disk)
        if disk.files and disk.files_free < LEAST_FILES:
            yield _no_files(case, disk)


def _full(case: Case, disk: Disk, table: Admission) -> Problem:
    return Problem(
        summary=f"the disk of {disk.path} lacks {show_bytes(-table.left)} for this release",
        subject=case.app.instance,
        evidence=tuple(str(table).splitlines()),
        effect="a full disk stops databases in the middle of a write, of other apps too",
        hint="`havre disk` shows what takes the room, `havre prune` removes what no release needs",
    )


def _filling(case: Case, disk: Disk) -> Problem:
    return Problem(
        summary=f"the disk of {disk.path} fills up: {show_bytes(disk.free)} of {show_bytes(disk.total)} are free",
        subject=case.app.instance,
        effect="this release fits; deploys and backups are refused when the room runs out",
        hint="`havre disk` shows what takes the room, `havre prune` removes what no release needs",
        severity=Severity.WARNING,
    )


def _no_files(case: Case, disk: Disk) -> Problem:
    return Problem(
        summary=f"the disk of {disk.path} can hold only {disk.files_free} more files, however much room it has",
        subject=case.app.instance,
        evidence=(f"{disk.files - disk.files_free} of {disk.files} inodes are in use (`df -i {disk.path}`)",),
        effect="images cannot be unpacked, and databases cannot make new files",
        hint="`havre prune` removes images that no release needs; `du -x --inodes -d3 "
        + disk.path
        + " | sort -n | tail` shows where the files are",
    )


CHECKS = (
    Check(
        id="disk-space",
        severity=Severity.ERROR,
        title="there is disk space for images, builds, logs and backups",
        doc=(
            "What images to pull and to build, logs (by their own limits) and the next backup of every service will "
            "take must fit into what is free, and 512 MiB stay free; that is refused with the table. An image is "
            "counted by what its predecessor takes, a backup by what the last one added. Less than 2 GiB or a tenth "
            "is warned about, and a disk that can hold no more files (inodes) is refused however much room it has."
        ),
        find=_disks,
    ),
)
