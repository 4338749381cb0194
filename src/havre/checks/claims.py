"""What an instance claims on the server, how claims clash, and which free values to propose; the store keeps them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from havre.model.app import App
from havre.model.project import Order, Project, Service
from havre.model.server import Claim, Listener

ANY_ADDRESS = frozenset({"0.0.0.0", "::", "", "*"})  # noqa: S104 - compared, never bound
FIRST_SUBNETS = ("172.16.0.0/12", "10.0.0.0/8", "192.168.0.0/16")
UNLIMITED_GUESS = 128 * 1024**2
"""Bytes counted for a replica without a limit that nobody has watched yet."""

IpNetwork = IPv4Network | IPv6Network


def claims_of(
    app: App,
    project: Project,
    *,
    place: str = "",
    changed: Collection[str] | None = None,
    peaks: Iterable[tuple[str, int]] = (),
) -> tuple[Claim, ...]:
    """Everything the project claims, sorted; `place` is where it is written, such as `/srv/shop/compose.yaml`."""
    return tuple(sorted(set(_claims(app, project, place, changed, dict(peaks)))))


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
    """Whether two listeners on these addresses and the same port would meet."""
    if one in ANY_ADDRESS or other in ANY_ADDRESS:
        return True
    return ip_address(one) == ip_address(other)


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
    taken = sorted((int(other.network_address), int(other.broadcast_address)) for other in others)
    size = 2 ** (32 - prefix)
    for start in starts:
        if not any(low <= start + size - 1 and start <= high for low, high in taken):
            return f"{ip_address(start)}/{prefix}"
    return None


def _claims(
    app: App, project: Project, place: str, changed: Collection[str] | None, peaks: dict[str, int]
) -> Iterator[Claim]:
    name, where = app.instance, f" ({place})" if place else ""
    for service in project.services:
        for address, port, protocol in published_ports(service):
            yield Claim(
                instance=name, kind="port", value=port_claim(address, port, protocol), detail=service.name + where
            )
        if service.container_name:
            yield Claim(instance=name, kind="container", value=service.container_name, detail=service.name + where)
    for route in app.routes:
        yield Claim(instance=name, kind="host", value=route.host + route.path, detail=str(app.directory))
    for network in project.networks:
        if not network.external:
            yield Claim(instance=name, kind="network", value=network.name, detail=network.key + where)
        for subnet, _ in network.subnets:
            if not network.external:
                yield Claim(instance=name, kind="subnet", value=subnet, detail=network.name)
    for volume in project.volumes:
        if not volume.external:
            yield Claim(instance=name, kind="volume", value=volume.name, detail=volume.key + where)
    steady = sum(memory_of(one, peaks.items()) for one in project.services if one.name not in project.jobs)
    yield Claim(instance=name, kind="memory", value=str(steady), detail=_without_limit(project))
    yield Claim(instance=name, kind="surplus", value=str(surplus_of(project, changed, peaks.items())))


def published_ports(service: Service) -> Iterator[tuple[str, int, str]]:
    """(address, host port, protocol) of every fixed port a service publishes; a range counts by its first."""
    for port in service.ports:
        first = (port.published or "0").split("-")[0]
        if first.isdigit() and int(first):
            yield port.host_ip, int(first), port.protocol


def _without_limit(project: Project) -> str:
    names = [one.name for one in project.services if one.resources.memory is None and one.name not in project.jobs]
    return f"without a limit: {', '.join(names)}" if names else ""
