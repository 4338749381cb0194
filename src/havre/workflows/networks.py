"""Every network of this server: whose it is, which addresses it has, and which replicas are in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from havre.checks.claims import FIRST_SUBNETS, free_subnet
from havre.model.observed import Observed, ObservedNetwork
from havre.model.server import ServerFacts
from havre.workflows.server import Server

PROPOSED = 24
"""Bits of a subnet that is proposed: room for 250 replicas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkView:
    """One network; `instance` is empty when Havre did not make it, `inside` the replicas that run in it."""

    name: str
    engine: str
    instance: str = ""
    driver: str = ""
    internal: bool = False
    subnets: tuple[str, ...] = ()
    inside: tuple[tuple[str, str], ...] = ()
    """(replica, its address there)."""


def list_networks(servers: Iterable[Server]) -> tuple[NetworkView, ...]:
    """By app, then by name; those that Havre did not make last."""
    found = (view for server in servers for view in _of_engine(server))
    return tuple(sorted(found, key=lambda one: (not one.instance, one.instance, one.name)))


def next_subnet(views: Iterable[NetworkView], facts: ServerFacts) -> str | None:
    """A subnet that nothing on this server uses, for a network of one's own."""
    taken = [subnet for view in views for subnet in view.subnets]
    taken += [subnet for subnet, _ in facts.subnets]
    taken += [claim.value for claim in facts.claims if claim.kind == "subnet"]
    first = FIRST_SUBNETS[0].partition("/")[0]
    return free_subnet(f"{first}/{PROPOSED}", taken)


def _of_engine(server: Server) -> Iterator[NetworkView]:
    names = [one.instance for one in server.state.instances.list() if one.engine == server.engine.name]
    seen = [server.engine.observe(name) for name in names or [""]]
    inside = {(place, replica, address) for observed in seen for place, replica, address in _places(observed)}
    listed = {network.name: network for network in seen[0].networks}
    for name in sorted({*listed, *(place for place, _, _ in inside)}):
        yield _view(server.engine.name, name, listed.get(name), sorted(one[1:] for one in inside if one[0] == name))


def _places(observed: Observed) -> Iterator[tuple[str, str, str]]:
    for one in observed.replicas:
        for network, address in one.addresses if one.is_running else ():
            yield network, f"{observed.instance}/{one.service}.{one.slot}", address


def _view(engine: str, name: str, network: ObservedNetwork | None, inside: list[tuple[str, str]]) -> NetworkView:
    if network is None:
        return NetworkView(name=name, engine=engine, inside=tuple(inside))
    return NetworkView(
        name=name,
        engine=engine,
        instance=network.instance,
        driver=network.driver,
        internal=network.internal,
        subnets=tuple(subnet for subnet, _ in network.subnets),
        inside=tuple(inside),
    )
