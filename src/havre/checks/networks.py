"""Checks of what apps share beside ports: host names, networks, subnets, volumes and container names (F34, F35)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, ip_network
from itertools import islice

from havre.checks.case import Case, Check
from havre.checks.claims import FIRST_SUBNETS, free_subnet
from havre.errors import Location, Problem, Severity
from havre.model.project import Network, Service
from havre.model.server import Claim

MOST_COUNTED = 300
"""Subnets of one pool that are looked at: more than that never run out."""


def _hosts(case: Case) -> Iterator[Problem]:
    others = {claim.value: claim for claim in _others(case, "host")}
    for index, route in enumerate(case.app.routes):
        claim = others.get(route.host + route.path)
        if claim:
            yield Problem(
                summary=f"{route.host}{route.path} belongs to {claim.instance}",
                subject=route.host,
                at=case.app.place(f"routes[{index}].host"),
                evidence=(f"{claim.instance} has that route{f' ({claim.detail})' if claim.detail else ''}",),
                effect="its requests would go to one of the two",
                hint=f"give this app another host, such as {_free_host(case, route.host)}; or remove the route there",
            )


def _free_host(case: Case, wanted: str) -> str:
    """The app's name before the wanted host (`shop.example.org`), numbered when somebody has that too."""
    taken = {claim.value.partition("/")[0] for claim in _others(case, "host")}
    taken |= {route.host for route in case.app.routes}
    names = (f"{case.app.name}{number}.{wanted.removeprefix('*.')}" for number in ("", *range(2, 1000)))
    return next(name for name in names if name not in taken)


def _subnets(case: Case) -> Iterator[Problem]:
    proposed: set[str] = set()
    for network, subnet, at in _given_subnets(case):
        owner = next((who for taken, who in _taken_subnets(case, network.name) if _overlap(subnet, taken)), None)
        if owner is None:
            continue
        taken = {taken for taken, _ in _taken_subnets(case, network.name)}
        free = free_subnet(subnet, taken | proposed)
        if free:
            proposed.add(free)
        yield Problem(
            summary=f"subnet {subnet} of network {network.key} overlaps {owner}",
            subject=network.key,
            at=at,
            effect="the engine would refuse it: pools overlap",
            hint=f"use {free}, which is free here"
            if free
            else "choose a subnet that nothing here uses, or let Havre choose",
        )


def _given_subnets(case: Case) -> Iterator[tuple[Network, str, Location | None]]:
    for network in case.project.networks:
        for index, (subnet, _) in enumerate(network.subnets):
            if not network.external:
                yield network, subnet, case.place(f"networks.{network.key}.ipam.config[{index}].subnet")


def _taken_subnets(case: Case, but: str) -> Iterator[tuple[str, str]]:
    """(subnet, whose it is) of everything on this server and in this file, except the network called `but`."""
    for observed in case.observed.networks if case.observed else ():
        if observed.name != but:
            owner = f" of {observed.instance}" if observed.instance and observed.instance != case.app.instance else ""
            yield from ((subnet, f"network {observed.name}{owner}, {subnet}") for subnet, _ in observed.subnets)
    for claim in _others(case, "subnet"):
        yield claim.value, f"network {claim.detail} of {claim.instance}, {claim.value}"
    for subnet, interface in case.server.subnets if case.server else ():
        yield subnet, f"the server's own network {subnet} on {interface}"
    for other, subnet, at in _given_subnets(case):
        if other.name < but:
            yield subnet, f"network {other.key}, {subnet}{f' at {at}' if at else ''}"


def _overlap(one: str, other: str) -> bool:
    return ip_network(one, strict=False).overlaps(ip_network(other, strict=False))


def _pools(case: Case) -> Iterator[Problem]:
    """Networks without a subnet of their own get one from the engine's pools, of which there are few."""
    if case.observed is None or not case.pools:
        return
    wanted = [
        one
        for one in case.project.networks
        if not (one.external or one.subnets or one.ipam_driver or case.observed.network(one.name))
        and one.driver in (None, "bridge")
    ]
    taken = [subnet for network in case.observed.networks for subnet, _ in network.subnets]
    taken += [subnet for subnet, _ in case.server.subnets] if case.server else []
    free = sum(_is_free(subnet, taken) for pool, size in case.pools for subnet in _cut(pool, size))
    if len(wanted) > free:
        proposed = free_subnet(f"{FIRST_SUBNETS[1].partition('/')[0]}/24", taken)
        yield Problem(
            summary=f"{free} of the engine's subnets are left, and {len(wanted)} are needed",
            subject=", ".join(one.key for one in wanted),
            at=case.place(f"networks.{wanted[0].key}"),
            evidence=(
                f"{len(case.observed.networks)} networks are there already",
                f"its pools: {', '.join(pool for pool, _ in case.pools)}",
            ),
            effect="the engine could not make the networks",
            hint="`havre networks` shows which have nobody inside, to be removed"
            + (f"; or give one a subnet of its own, such as {proposed}" if proposed else ""),
        )


def _is_free(subnet: IPv4Network, taken: list[str]) -> bool:
    others = (ip_network(text, strict=False) for text in taken)
    return not any(other.version == 4 and subnet.overlaps(other) for other in others)


def _cut(pool: str, size: int) -> Iterator[IPv4Network]:
    """The subnets of a pool; no more than anybody would count."""
    whole = IPv4Network(pool, strict=False)
    yield from islice(whole.subnets(new_prefix=max(size, whole.prefixlen)), MOST_COUNTED)


def _external(case: Case) -> Iterator[Problem]:
    if case.observed is None:
        return
    for network in case.project.networks:
        if network.external and case.observed.network(network.name) is None:
            yield _absent(case, "network", network.key, network.name)
    known = {volume.name for volume in case.observed.volumes}
    for volume in case.project.volumes:
        if volume.external and volume.name not in known:
            yield _absent(case, "volume", volume.key, volume.name)


def _absent(case: Case, kind: str, key: str, name: str) -> Problem:
    maker = next((claim for claim in _others(case, kind) if claim.value == name), None)
    users = [service.name for service in case.project.services if _uses(service, kind, key)]
    who = f"{maker.instance} makes it: deploy that app first" if maker else f"`docker {kind} create {name}` makes it"
    return Problem(
        summary=f"the external {kind} {name} does not exist",
        subject=key,
        at=case.place(f"{kind}s.{key}"),
        evidence=(f"used by {', '.join(users)}",) if users else (),
        hint=f"{who}; or drop `external: true`, and this app makes it",
    )


def _uses(service: Service, kind: str, key: str) -> bool:
    if kind == "network":
        return any(attachment.network == key for attachment in service.networks)
    return any(mount.source == key for mount in service.mounts)


def _names(case: Case) -> Iterator[Problem]:
    volumes = {claim.value: claim for claim in _others(case, "volume")}
    containers = {claim.value: claim for claim in _others(case, "container")}
    networks = {claim.value: claim for claim in _others(case, "network")}
    wanted = [
        *((volumes, "volume", one.name, f"volumes.{one.key}") for one in case.project.volumes if not one.external),
        *((networks, "network", one.name, f"networks.{one.key}") for one in case.project.networks if not one.external),
        *(
            (containers, "container", one.container_name, f"services.{one.name}.container_name")
            for one in case.project.services
            if one.container_name
        ),
    ]
    for others, kind, name, path in wanted:
        claim = others.get(name)
        if claim:
            yield Problem(
                summary=f"the {kind} name {name} belongs to {claim.instance}",
                subject=name,
                at=case.place(path),
                evidence=(f"there: {claim.detail}",) if claim.detail else (),
                effect="the two apps would share it, or the second would not start",
                hint=f"drop the fixed name, and the {kind} is named after its app; or declare it external to share it",
            )


def _others(case: Case, kind: str) -> tuple[Claim, ...]:
    return case.server.claims_of_others(case.app.instance, kind) if case.server else ()


CHECKS = (
    Check(
        id="host-claimed",
        severity=Severity.ERROR,
        title="no route belongs to another app",
        doc="A host and path on this server lead to one app.",
        find=_hosts,
    ),
    Check(
        id="subnet-overlap",
        severity=Severity.ERROR,
        title="fixed subnets overlap nothing",
        doc="Fixed subnets are compared with the engine's networks, other apps' and the server's own.",
        find=_subnets,
    ),
    Check(
        id="subnet-pool",
        severity=Severity.ERROR,
        title="the engine has subnets left for new networks",
        doc="Docker gives each network a subnet of its pools, some thirty by default; with the last one it stops.",
        find=_pools,
    ),
    Check(
        id="external-missing",
        severity=Severity.ERROR,
        title="external networks and volumes exist",
        doc="`external: true` means that somebody else makes it, and it must be there first.",
        find=_external,
    ),
    Check(
        id="name-claimed",
        severity=Severity.ERROR,
        title="fixed names of volumes, networks and containers belong to one app",
        doc="`name:` and `container_name:` leave the app's own name space; two apps can then meet.",
        find=_names,
    ),
)
