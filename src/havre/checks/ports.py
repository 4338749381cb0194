"""Checks of published ports: held by others, asked for twice, or open to everybody (F1, F2, F3, F44)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from havre.checks.case import Case, Check
from havre.checks.claims import (
    ANY_ADDRESS,
    addresses_overlap,
    free_port,
    is_held,
    published_ports,
    read_port,
    taken_ports,
)
from havre.errors import Location, Problem, Severity
from havre.model.images import known, listening_ports
from havre.model.server import Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """A host port that a service publishes."""

    service: str
    address: str
    port: int
    target: int
    protocol: str
    at: Location | None

    def __str__(self) -> str:
        return f"{self.port}/{self.protocol}"


def _wanted(case: Case) -> Iterator[_Wanted]:
    for service in case.project.services:
        for index, address, port, protocol in published_ports(service):
            yield _Wanted(
                service=service.name,
                address=address,
                port=port,
                target=service.ports[index].target,
                protocol=protocol,
                at=case.place(f"services.{service.name}.ports[{index}]"),
            )


def _meets(one: _Wanted, address: str, port: int, protocol: str) -> bool:
    return (one.port, one.protocol) == (port, protocol) and addresses_overlap(one.address, address)


def _twice(case: Case) -> Iterator[Problem]:
    seen: list[_Wanted] = []
    everything = {one.port for one in _wanted(case)}
    for one in _wanted(case):
        first = next((other for other in seen if _meets(one, other.address, other.port, other.protocol)), None)
        seen.append(one)
        if first is None:
            continue
        free = free_port(one.port, everything | _taken(case, one.protocol))
        yield Problem(
            summary=f"port {one} is published by {first.service} and by {one.service}",
            subject=one.service,
            at=one.at,
            evidence=(f"{first.service} publishes it{f' at {first.at}' if first.at else ''}",),
            effect="only one of them could have it",
            hint=f"publish another port for {one.service}{_as_in(one, free)}",
        )


def _claimed(case: Case) -> Iterator[Problem]:
    others = case.server.claims_of_others(case.app.instance, "port") if case.server else ()
    proposed: set[int] = set()
    for one in _wanted(case):
        claim = next((claim for claim in others if _meets(one, *read_port(claim.value))), None)
        if claim:
            yield _claim_problem(case, one, claim, _proposal(case, one, proposed))


def _claim_problem(case: Case, one: _Wanted, claim: Claim, free: int | None) -> Problem:
    detail = f": {claim.detail}" if claim.detail else ""
    return Problem(
        summary=f"port {one} wanted by {case.app.instance}/{one.service} belongs to {claim.instance}",
        subject=one.service,
        at=one.at,
        evidence=(f"{claim.instance} publishes {claim.value}{detail}",),
        effect="the two would fight over it; nothing was changed",
        hint=f"publish a free port{_as_in(one, free)}",
    )


def _taken_by_program(case: Case) -> Iterator[Problem]:
    if case.server is None:
        return
    mine = {claim.value for claim in case.server.claims if claim.instance == case.app.instance and claim.kind == "port"}
    others = case.server.claims_of_others(case.app.instance, "port")
    proposed: set[int] = set()
    for one in _wanted(case):
        if any(_meets(one, *read_port(claim.value)) for claim in others):
            continue
        for listener in case.server.listeners:
            is_there = (one.port, one.protocol) == (listener.port, listener.protocol)
            if listener.ours or not is_there or not is_held(one.address, listener.address):
                continue
            is_unknown = listener.pid is None or listener.program.startswith("docker-proxy")
            if is_unknown and any(_meets(one, *read_port(value)) for value in mine):
                continue
            free = _proposal(case, one, proposed)
            yield Problem(
                summary=f"port {one} wanted by {case.app.instance}/{one.service} is held by {listener}",
                subject=one.service,
                at=one.at,
                evidence=(f"it listens on {listener.address}:{listener.port}",),
                effect="nothing could be published there; nothing was changed",
                hint=f"stop that program, or publish a free port{_as_in(one, free)}",
            )
            break


def _held_everywhere(case: Case) -> Iterator[Problem]:
    """Replicas with addresses of their own in this machine's network: who listens on every address is in their way."""
    if case.server is None or not case.own_addresses:
        return
    everywhere = [one for one in case.server.listeners if one.address in ANY_ADDRESS and one.protocol == "tcp"]
    for service in case.project.services:
        for port in sorted(listening_ports(service)):
            holder = next((one for one in everywhere if one.port == port and not one.ours), None)
            if holder is not None:
                yield Problem(
                    summary=f"port {port}/tcp, which {case.app.instance}/{service.name} needs, is held by {holder}",
                    subject=service.name,
                    at=case.place(f"services.{service.name}"),
                    evidence=(f"it listens on every address ({holder.address}), so on the replica's own too",),
                    effect="no replica could open that port; nothing was changed",
                    hint=(
                        "let that program listen on one address (`listen_addresses` of PostgreSQL, `bind` of Redis), "
                        f"stop it, or give {service.name} another port"
                    ),
                )


def _edge_ports(case: Case) -> Iterator[Problem]:
    for port in case.edge_ports if case.server and case.app.routes else ():
        for listener in case.server.listeners if case.server else ():
            is_there = listener.port == port and listener.protocol == "tcp" and not listener.ours
            if is_there and is_held(case.edge_address, listener.address):
                yield Problem(
                    summary=f"port {port}/tcp, where the edge serves {case.app.routes[0].host}, is held by {listener}",
                    subject=f"{port}/tcp",
                    evidence=(f"it listens on {listener.address}:{listener.port}",),
                    effect="no route could be reached",
                    hint=(
                        "stop that program; or keep it in front, let the edge listen elsewhere (`http_port` in "
                        "server.yaml of the state directory) and lead the host to it there"
                    ),
                )
                break


def _public(case: Case) -> Iterator[Problem]:
    services = {service.name: service for service in case.project.services}
    for one in _wanted(case):
        facts = known(services[one.service])
        if not facts or not facts.is_private or one.address not in ANY_ADDRESS:
            continue
        yield Problem(
            summary=f"{facts.kind} is published on every address of the server, port {one}",
            subject=one.service,
            at=one.at,
            effect="everybody who reaches the server can try it; with Docker alone even UFW is bypassed",
            hint=f'publish it for this machine only: `"127.0.0.1:{one.port}:{one.target}"`, or drop the port',
        )


def _proposal(case: Case, one: _Wanted, proposed: set[int]) -> int | None:
    """A free port, another one each time, so that all proposals work together."""
    wanted_too = {other.port for other in _wanted(case)}
    free = free_port(one.port, _taken(case, one.protocol) | wanted_too | proposed)
    if free is not None:
        proposed.add(free)
    return free


def _taken(case: Case, protocol: str) -> frozenset[int]:
    return taken_ports(case.server.listeners, case.server.claims, protocol) if case.server else frozenset()


def _as_in(one: _Wanted, free: int | None) -> str:
    if free is None:
        return ""
    address = "" if one.address in ANY_ADDRESS else f"{one.address}:"
    return f': `"{address}{free}:{one.target}{"" if one.protocol == "tcp" else "/" + one.protocol}"`'


CHECKS = (
    Check(
        id="port-twice",
        severity=Severity.ERROR,
        title="no two services publish the same port",
        doc="Two services of one app that publish one host port fail late: the second container does not start.",
        find=_twice,
    ),
    Check(
        id="port-claimed",
        severity=Severity.ERROR,
        title="no published port belongs to another app",
        doc="Every app's ports are in the server's ledger, also while the app is stopped.",
        find=_claimed,
    ),
    Check(
        id="port-taken",
        severity=Severity.ERROR,
        title="no published port is held by another program",
        doc="The live sockets of the server are compared with what the Compose files publish.",
        find=_taken_by_program,
    ),
    Check(
        id="port-everywhere",
        severity=Severity.ERROR,
        title="no program holds a service's port on every address",
        doc=(
            "On the process engine each replica has a loopback address of its own; a program that listens on "
            "`0.0.0.0` or `::` holds its port there too."
        ),
        find=_held_everywhere,
    ),
    Check(
        id="port-edge",
        severity=Severity.ERROR,
        title="the edge's own ports are free",
        doc="Routes are served on the edge's HTTP and HTTPS ports; another web server there keeps it from starting.",
        find=_edge_ports,
    ),
    Check(
        id="port-public",
        severity=Severity.WARNING,
        title="databases and internals are not published to everybody",
        doc='`"5432:5432"` listens on every address. Docker publishes such ports past UFW\'s rules.',
        find=_public,
    ),
)
