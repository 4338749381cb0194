"""What this server holds: every port with its owner, and the memory of all apps beside what there is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from havre.checks.claims import addresses_overlap, read_port
from havre.checks.memory import Admission, admission
from havre.host.facts import Ours, server_facts
from havre.model.project import Project
from havre.model.server import Claim, Listener, ServerFacts
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


def budget(facts: ServerFacts, *, reserve: int | None = None) -> Admission:
    """The memory table of the whole server, without the surplus of any release."""
    nobody = Project(name="")
    return admission(total=facts.memory_total, project=nobody, instance="", claims=facts.claims, reserve=reserve)


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
    return (one.port, one.protocol) == (port, protocol) and addresses_overlap(one.address, address)
