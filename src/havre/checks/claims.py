"""What an instance claims on the server, how claims clash, and which free values to propose; the store keeps them."""

from __future__ import annotations

import posixpath
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import accumulate

from havre.checks.case import Case
from havre.checks.disk import log_needs
from havre.errors import Location
from havre.model.project import Order, Project, Service
from havre.model.server import Claim, Listener

ANY_ADDRESS = frozenset({"0.0.0.0", "::", "", "*"})  # noqa: S104 - compared, never bound
_BOTH_FAMILIES = frozenset({"", "*"})
FIRST_SUBNETS = ("172.16.0.0/12", "10.0.0.0/8", "192.168.0.0/16")
UNLIMITED_GUESS = 128 * 1024**2
"""Bytes counted for a replica without a limit that nobody has watched yet."""

IpNetwork = IPv4Network | IPv6Network


def claims_of(case: Case) -> tuple[Claim, ...]:
    """Everything the case's project claims, sorted; details name the file and line where it is written."""
    return tuple(sorted(set(_claims(case))))


def memory_of(service: Service, peaks: Iterable[tuple[str, int]] = ()) -> int:
    """Bytes that all replicas of a service may use: their limit, else their observed peak, else a guess."""
    each = service.resources.memory or dict(peaks).get(service.name) or UNLIMITED_GUESS
    return each * service.replicas


def surplus_of(project: Project, changed: Collection[str] | None = None, peaks: Iterable[tuple[str, int]] = ()) -> int:
    """Bytes a release needs on top, because new replicas of rolling services run beside the old ones."""
    watched = tuple(peaks)
    rolling = (
        service
        for service in project.services
        if service.order is Order.START_FIRST
        and service.name not in project.jobs
        and (changed is None or service.name in changed)
    )
    return sum(memory_of(service, watched) for service in rolling)


def addresses_overlap(one: str, other: str) -> bool:
    """Whether two published addresses meet on one port: `0.0.0.0` is every address of IPv4, `::` every one of IPv6."""
    if not {one, other}.isdisjoint(_BOTH_FAMILIES):
        return True
    first, second = ip_address(one), ip_address(other)
    return first == second or (first.version == second.version and (first.is_unspecified or second.is_unspecified))


def is_held(wanted: str, listener: str) -> bool:
    """Whether a socket that listens already is in the way: on `::` programs take IPv4 in as well."""
    return listener == "::" or addresses_overlap(wanted, listener)


def port_claim(address: str, port: int, protocol: str) -> str:
    """`0.0.0.0:8080/tcp`: how a port is written in a claim."""
    shown = f"[{address}]" if ":" in address else address
    return f"{shown}:{port}/{protocol}"


def read_port(value: str) -> tuple[str, int, str]:
    """(address, port, protocol) of a port claim."""
    head, _, protocol = value.rpartition("/")
    address, _, port = head.rpartition(":")
    return address.strip("[]"), int(port), protocol


def free_port(wanted: int, taken: Collection[int]) -> int | None:
    """The next port above `wanted` (or, at the end, the first from 1024) that nobody has."""
    candidates = [*range(wanted + 1, 65536), *range(1024, wanted)]
    return next((port for port in candidates if port not in taken), None)


def taken_ports(listeners: Iterable[Listener], claims: Iterable[Claim], protocol: str = "tcp") -> frozenset[int]:
    """Every port number somebody listens on or claims, whatever the address."""
    claimed = (read_port(claim.value) for claim in claims if claim.kind == "port")
    live = {listener.port for listener in listeners if listener.protocol == protocol}
    return frozenset(live | {port for _, port, spoken in claimed if spoken == protocol})


def free_subnet(wanted: str, taken: Iterable[str]) -> str | None:
    """The nearest subnet of the same size, after `wanted` in the same private range, that overlaps nothing."""
    network = ip_network(wanted, strict=False)
    others = [other for text in taken if (other := ip_network(text, strict=False)).version == network.version]
    parents = [ip_network(parent) for parent in FIRST_SUBNETS]
    parent = next((one for one in parents if one.version == network.version and network.subnet_of(one)), None)  # type: ignore[arg-type]
    if parent is None or network.prefixlen < parent.prefixlen:
        return None
    size = network.num_addresses
    first, last = int(parent.network_address), int(parent.broadcast_address)
    starts = [
        *range(int(network.network_address) + size, last, size),
        *range(first, int(network.network_address), size),
    ]
    return _first_free(starts, network.prefixlen, others)


def _first_free(starts: list[int], prefix: int, others: list[IpNetwork]) -> str | None:
    """Sorted once, so that a server with thousands of networks costs no more than a look per candidate."""
    taken = sorted((int(other.network_address), int(other.broadcast_address)) for other in others)
    lows = [low for low, _ in taken]
    reach = list(accumulate((high for _, high in taken), max))
    size = 2 ** (32 - prefix)
    for start in starts:
        below = bisect_right(lows, start + size - 1)
        if below == 0 or reach[below - 1] < start:
            return f"{ip_address(start)}/{prefix}"
    return None


def _claims(case: Case) -> Iterator[Claim]:
    name, project = case.app.instance, case.project
    yield from _service_claims(case)
    for index, route in enumerate(case.app.routes):
        at = _written(case, case.app.place(f"routes[{index}]"))
        yield Claim(instance=name, kind="host", value=route.host + route.path, detail=at)
    for network in project.networks:
        if network.external:
            continue
        at = _written(case, case.place(f"networks.{network.key}"))
        yield Claim(instance=name, kind="network", value=network.name, detail=at)
        for subnet, _ in network.subnets:
            yield Claim(instance=name, kind="subnet", value=subnet, detail=network.name)
    for volume in project.volumes:
        if not volume.external:
            at = _written(case, case.place(f"volumes.{volume.key}"))
            yield Claim(instance=name, kind="volume", value=volume.name, detail=at)
    steady = sum(memory_of(one, case.peaks) for one in case.services())
    yield Claim(instance=name, kind="memory", value=str(steady), detail=_without_limit(case))
    logs = sum(need.size for need in log_needs(project))
    if logs:
        yield Claim(instance=name, kind="disk-images", value=str(logs), detail="logs, by their limits")
    yield Claim(instance=name, kind="surplus", value=str(surplus_of(project, case.changed, case.peaks)))


def _service_claims(case: Case) -> Iterator[Claim]:
    for service in case.project.services:
        for index, address, port, protocol in published_ports(service):
            at = _written(case, case.place(f"services.{service.name}.ports[{index}]"))
            detail = f"{service.name}, {at}" if at else service.name
            value = port_claim(address, port, protocol)
            yield Claim(instance=case.app.instance, kind="port", value=value, detail=detail)
        if service.container_name:
            at = _written(case, case.place(f"services.{service.name}.container_name"))
            yield Claim(instance=case.app.instance, kind="container", value=service.container_name, detail=at)


def _written(case: Case, at: Location | None) -> str:
    """`/srv/shop/compose.yaml:21:9`: absolute, because another app's directory is another."""
    return posixpath.join(case.app.directory, str(at)) if at else ""


def published_ports(service: Service) -> Iterator[tuple[int, str, int, str]]:
    """(index, address, host port, protocol) of every fixed port a service publishes; a range counts by its first."""
    for index, port in enumerate(service.ports):
        first = (port.published or "0").split("-")[0]
        if first.isdigit() and int(first):
            yield index, port.host_ip, int(first), port.protocol


def _without_limit(case: Case) -> str:
    names = [service.name for service in case.services() if service.resources.memory is None]
    return f"without a limit: {', '.join(names)}" if names else ""
