"""Checks of the machine itself: has it what the manifest says the app needs (C3, S1, T6, T49)?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from havre.checks.case import Case, Check
from havre.errors import Problem, Severity
from havre.model.app import Needs
from havre.model.server import ServerFacts, System
from havre.model.units import show_bytes

SOLD_AS = 0.9
"""A machine sold with 4 GB shows a little less: firmware and kernel keep some, and a disk holds a file system."""

_UNSUPPORTED = {"debian": "11", "ubuntu": "20.04"}
"""The oldest releases that still get a supported Docker Engine."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """One requirement that the machine does not meet."""

    key: str
    wanted: str
    found: str
    effect: str = "it may start and then fail under load"
    remedy: str = "move to a server that has it"


def shortfalls(needs: Needs, server: ServerFacts) -> Iterator[Shortfall]:
    """What is missing; facts that nobody gathered are not judged."""
    yield from _sizes(needs, server)
    if needs.os and server.system and server.system.id and not any(_will_do(server.system, *one) for one in needs.os):
        wanted = " or ".join(f"{name} {version}" for name, version in needs.os)
        yield Shortfall("os", f"{wanted} or newer", server.system.name)
    if needs.docker and server.engine and not _is_at_least(_number(server.engine), needs.docker):
        yield Shortfall("docker", f"Docker Engine {needs.docker} or newer", server.engine)
    if needs.public_address and server.system and not server.system.public_addresses:
        found = ", ".join(server.system.addresses) or "none but loopback"
        yield Shortfall("public_address", "a public address", found)
    installed = server.system.programs if server.system else None
    if installed is not None and (missing := [tool for tool in needs.tools if tool not in installed]):
        yield Shortfall(
            "tools",
            f"{', '.join(missing)} installed",
            "nothing of that name",
            effect="whoever counts on it here, a person or a script, does not find it",
            remedy=f"install it (`sudo apt-get install {' '.join(missing)}`)",
        )


def _sizes(needs: Needs, server: ServerFacts) -> Iterator[Shortfall]:
    if needs.memory and server.memory_total and server.memory_total < needs.memory * SOLD_AS:
        yield Shortfall("memory", f"{show_bytes(needs.memory)} of memory", show_bytes(server.memory_total))
    if needs.cpus and server.cpus < needs.cpus:
        yield Shortfall("cpus", f"{needs.cpus} CPUs", str(server.cpus))
    disk = next((disk for disk in server.disks if disk.purpose == "state"), next(iter(server.disks), None))
    if needs.disk and disk and disk.total < needs.disk * SOLD_AS:
        yield Shortfall("disk", f"{show_bytes(needs.disk)} of disk", f"{show_bytes(disk.total)} at {disk.path}")


def _will_do(system: System, name: str, version: str) -> bool:
    return system.id == name and _is_at_least(system.version, version)


def _is_at_least(found: str, wanted: str) -> bool:
    parts = [tuple(int(part) for part in re.findall(r"[0-9]+", text)) for text in (found, wanted)]
    return not parts[0] or parts[0] >= parts[1]


def _number(text: str) -> str:
    """The first version number in a text."""
    found = re.search(r"[0-9]+(?:\.[0-9]+)+", text)
    return found[0] if found else ""


def _needs(case: Case) -> Iterator[Problem]:
    if case.server is None:
        return
    for kind, needs in (("needs", case.app.needs), ("recommends", case.app.recommends)):
        for missing in shortfalls(needs, case.server):
            yield Problem(
                summary=f"the app {kind} {missing.wanted}; this server has {missing.found}",
                subject="server",
                at=case.app.place(f"server.{kind}.{missing.key}"),
                effect=missing.effect,
                hint=f"{missing.remedy}, or correct `server.{kind}.{missing.key}`",
                severity=Severity.ERROR if kind == "needs" else Severity.WARNING,
            )


def _old_system(case: Case) -> Iterator[Problem]:
    system = case.server.system if case.server else None
    least = _UNSUPPORTED.get(system.id) if system else None
    if system and least and not _is_at_least(system.version, least):
        yield Problem(
            summary=f"{system.name} no longer gets a supported Docker Engine",
            subject="server",
            effect="security updates of the engine do not reach this server",
            hint=f"upgrade the system to {system.id} {least} or newer",
        )


def clock_runs_free() -> Problem:
    """What follows where nothing corrects the server's clock.

    Not told before a deploy: a virtual machine whose host keeps its clock right looks the same from inside.
    """
    return Problem(
        summary="nothing keeps this server's clock in step",
        subject="server",
        evidence=("the kernel says that its clock is not synchronised (adjtimex)",),
        effect="as it drifts, TLS, signed tokens and one-time passwords fail, and timers run at the wrong hour",
        hint="`sudo apt-get install chrony`; `havre server` then says that the clock is kept in step",
    )


CHECKS = (
    Check(
        id="server-needs",
        severity=Severity.ERROR,
        title="the server has what the app needs",
        doc=(
            "`server.needs` in the manifest names memory, CPUs, disk, operating system, Docker version or a public "
            "address that the app cannot do without; what `server.recommends` names is only warned about. Sizes are "
            "those a machine is sold with: a tenth less is taken for the same."
        ),
        find=_needs,
    ),
    Check(
        id="server-system",
        severity=Severity.WARNING,
        title="the operating system is not too old",
        doc="Debian before 11 and Ubuntu before 20.04 get no supported Docker Engine any more.",
        find=_old_system,
    ),
)
