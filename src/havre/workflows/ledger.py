"""What this server holds: every port with its owner, and the memory and disk of all apps beside what there is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from havre.checks.admission import Admission
from havre.checks.claims import is_held, read_port
from havre.checks.disk import disk_table
from havre.checks.memory import memory_table
from havre.engines.base import Engine, Upkeep
from havre.host.facts import Ours, server_facts
from havre.model.project import Project
from havre.model.server import Claim, Disk, DiskNeed, Listener, ServerFacts
from havre.store.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class PortLine:
    """One port of this server: who listens, and which app it belongs to."""

    port: int
    protocol: str
    address: str
    listener: str = ""
    instance: str = ""
    detail: str = ""

    @property
    def conflicts(self) -> bool:
        """An app owns it and somebody else sits on it."""
        return bool(self.instance and self.listener and self.detail == CONFLICT)


CONFLICT = "held by another program"


def server_now(state: State, disks: Iterable[tuple[str, Path]] = ()) -> ServerFacts:
    """The machine and the claims of every instance on it."""
    claims = (
        Claim(instance=claim.instance, kind=claim.kind, value=claim.value, detail=claim.detail)
        for claim in state.instances.claims()
    )
    return server_facts(disks=disks, claims=claims, ours=Ours(directory=state.directory))


def list_ports(facts: ServerFacts) -> tuple[PortLine, ...]:
    """Every port somebody listens on or an app claims, by number."""
    claims = [claim for claim in facts.claims if claim.kind == "port"]
    lines = {_claimed(claim, facts.listeners) for claim in claims}
    owned = {(line.port, line.protocol) for line in lines}
    for one in facts.listeners:
        if (one.port, one.protocol) not in owned:
            who = "havre" if one.ours else ""
            line = PortLine(port=one.port, protocol=one.protocol, address=one.address, listener=str(one), instance=who)
            lines.add(line)
    return tuple(sorted(lines, key=lambda line: (line.port, line.protocol, line.address, line.listener)))


def places_of_data(state: State, engines: Iterable[Engine], needs: Iterable[DiskNeed] = ()) -> list[tuple[str, Path]]:
    """(purpose, path) of everything whose disk matters: images, Havre's own state, and where backups go."""
    roots = [root for engine in engines if isinstance(engine, Upkeep) and (root := engine.root())]
    places = [*(("images", root) for root in roots), ("state", state.directory), ("backups", state.backups)]
    elsewhere = {need.purpose for need in needs if need.purpose.startswith("/")}
    return places + [(purpose, Path(purpose)) for purpose in sorted(elsewhere)]


def memory_budget(facts: ServerFacts, *, reserve: int | None = None) -> Admission:
    """The memory table of the whole server, without the surplus of any release."""
    nobody = Project(name="")
    return memory_table(total=facts.memory_total, project=nobody, instance="", claims=facts.claims, reserve=reserve)


def disk_budgets(
    facts: ServerFacts, needs: Iterable[DiskNeed] = (), *, instance: str = ""
) -> tuple[tuple[Disk, Admission], ...]:
    """Each disk with what may still come to it: `needs` of the instance at hand, and the claims of all others."""
    wanted = tuple(needs)
    return tuple((disk, disk_table(disk, wanted, instance=instance, claims=facts.claims)) for disk in facts.disks)


def _claimed(claim: Claim, listeners: Iterable[Listener]) -> PortLine:
    address, port, protocol = read_port(claim.value)
    there = [one for one in listeners if _meets(one, address, port, protocol)]
    foreign = [one for one in there if not one.ours and not one.program.startswith("docker-proxy")]
    shown = (foreign or there)[:1]
    return PortLine(
        port=port,
        protocol=protocol,
        address=address,
        listener=str(shown[0]) if shown else "",
        instance=claim.instance,
        detail=CONFLICT if foreign else claim.detail,
    )


def _meets(one: Listener, address: str, port: int, protocol: str) -> bool:
    return (one.port, one.protocol) == (port, protocol) and is_held(address, one.address)
