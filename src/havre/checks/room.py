"""What is full, or bigger than it should be: disks and who takes the room, file systems inside replicas, images."""

from __future__ import annotations

from collections.abc import Iterator

from havre.checks.finding import Finding, Rank
from havre.errors import Problem, Severity
from havre.model.diagnosis import Facts, ImageFact, ReplicaFacts
from havre.model.server import Disk
from havre.model.units import GIB, MIB, show_bytes
from havre.model.upkeep import Kind, Stored

GROWN = 1.5
"""Times that an image must have grown by, and by at least GROWN_BY bytes, to be told."""

GROWN_BY = 512 * MIB
SHOWN = 5
_PURPOSES = {Kind.BACKUPS: "backups", Kind.STATE: "state"}
"""What lies where the disk has that purpose; the rest is the engine's, with its images."""


def room(facts: Facts) -> Iterator[Finding]:
    """Disks of the server, file systems inside replicas, images."""
    for disk in facts.server.disks if facts.server else ():
        if is_low(disk):
            yield _disk(facts, disk)
    for one in facts.replicas:
        for path, free, total in one.full if one.replica.is_running else ():
            yield Finding(problem=_full_inside(one, path, free, total), rank=Rank.DISK, about=one.service)
    for image in facts.images:
        problem = _image(facts, image)
        if problem is not None:
            yield Finding(problem=problem, rank=Rank.EXPOSED)


def is_low(disk: Disk) -> bool:
    """True when so little is free that it is told."""
    return disk.free < GIB or (bool(disk.total) and disk.free / disk.total < 0.1)


def _disk(facts: Facts, disk: Disk) -> Finding:
    is_full = disk.free < GIB // 4 or (bool(disk.total) and disk.free / disk.total < 0.03)
    biggest = _biggest(facts, disk)
    problem = Problem(
        summary=f"the disk of {disk.path} is {'full' if is_full else 'nearly full'}",
        subject="server",
        evidence=(
            f"{show_bytes(disk.free)} of {show_bytes(disk.total)} are free ({disk.purposes})",
            *(("takes the room:", *(f"  {line}" for line in biggest)) if biggest else ()),
        ),
        effect="databases stop when they cannot write, and deploys and backups are refused",
        hint="`havre prune` shows what may go, and removes it; `havre disk` shows everything that takes room"
        if biggest
        else f"`du -xh --max-depth=2 {disk.path} | sort -h | tail` shows what takes the room",
        code="doctor-disk",
        severity=Severity.ERROR if is_full else Severity.WARNING,
    )
    return Finding(problem=problem, rank=Rank.DISK if is_full else Rank.FULL)


def _biggest(facts: Facts, disk: Disk) -> list[str]:
    """What lies on that disk as far as is known: images, volumes and logs are the engine's, the rest Havre's own."""
    several = len(facts.server.disks) > 1 if facts.server else False
    kept = [one for one in facts.consumers if one.size >= MIB and (not several or _lies_on(one, disk))]
    return [_line(one) for one in kept[:SHOWN]]


def _lies_on(one: Stored, disk: Disk) -> bool:
    return disk.serves(_PURPOSES.get(one.kind, "images"))


def _line(one: Stored) -> str:
    whose = f" of {one.instance}" if one.instance else "" if one.kind in (Kind.BACKUPS, Kind.STATE) else ", not Havre's"
    return f"{show_bytes(one.size)}  {one.kind.value} {one.name}{whose}"


def _full_inside(one: ReplicaFacts, path: str, free: int, total: int) -> Problem:
    return Problem(
        summary=f"the file system at {path} inside is full",
        subject=one.name,
        evidence=(f"{show_bytes(free)} of {show_bytes(total)} are free",),
        effect="it cannot write there any more",
        hint=f"`havre exec {one.service} du -xk {path}` shows what takes the room; make room, or give it a bigger one",
        code="doctor-full-inside",
    )


def _image(facts: Facts, image: ImageFact) -> Problem | None:
    if image.gpu_libraries and not facts.project.service(image.service).resources.devices:
        return _gpu_libraries(image)
    before = image.before
    if before is not None and image.size > GROWN * before and image.size - before > GROWN_BY:
        return Problem(
            summary=f"its image has {show_bytes(image.size)}; in the release before it had {show_bytes(before)}",
            subject=image.service,
            evidence=_layers(image),
            effect="releases take longer and the disk fills sooner",
            hint="the layers above show which line of the Dockerfile it is; `.dockerignore` keeps files out",
            code="doctor-image-size",
            severity=Severity.NOTE,
        )
    return None


def _gpu_libraries(image: ImageFact) -> Problem:
    return Problem(
        summary=f"its image has the libraries of a GPU in it ({show_bytes(image.size)}), and it has no GPU",
        subject=image.service,
        evidence=(*(f"found: {path}" for path in image.gpu_libraries[:3]), *_layers(image)),
        effect="some 4 GB of the image are never used",
        hint="in the Dockerfile, `pip install --index-url https://download.pytorch.org/whl/cpu torch` installs it "
        "without them; then `havre deploy`",
        code="doctor-image-size",
        severity=Severity.NOTE,
    )


def _layers(image: ImageFact) -> tuple[str, ...]:
    return tuple(f"layer of {show_bytes(size)}: {command}" for size, command in image.layers[:3])
