"""What the edge must serve for an instance: its routes, its published ports, and the calls inside it (D7, D8)."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from havre.model.app import App, TlsPolicy
from havre.model.hostnames import is_local
from havre.model.project import Order, Project, Service
from havre.model.route import AppEdge, Endpoint, InsideListener, TcpPort, Tls, Upstream

InsideAddress = Callable[[Service, Service], str | None]
"""(service, caller) -> the address of this machine at which `caller` meets the edge, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """The inside listeners of a project, and the host entries that lead each service's replicas to them."""

    listeners: tuple[InsideListener, ...] = ()
    names: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    """(caller, ((name, address), …))."""
    crowded_out: frozenset[str] = frozenset()
    """The services that no listener leads to, since others have their ports at every address."""
    notes: tuple[tuple[str, str], ...] = ()
    """(service, what follows) for those that are called without the edge for that reason."""

    def names_for(self, caller: str) -> tuple[tuple[str, str], ...]:
        """The host entries of `caller`'s replicas."""
        return next((names for service, names in self.names if service == caller), ())


def inside_ports(
    project: Project, app: App, exposed: Mapping[str, Iterable[int]], met: Collection[str] = ()
) -> dict[str, tuple[int, ...]]:
    """The ports on which other services may call each service that rolls; services without any are left out.

    Taken from `expose`, `ports`, routes, the image's EXPOSE (`exposed`), the health check's address, and every
    `service:port` written in another service's environment or command.

    `met` are those that callers meet at the edge now. They stay there when they cease to roll: the callers that
    run know no other address of them.
    """
    found: dict[str, tuple[int, ...]] = {}
    for service in project.services:
        if not (_rolls(service, project) or (service.name in met and _has_own_network(service, project))):
            continue
        ports = {port.target for port in service.ports if port.protocol == "tcp"}
        ports.update(_numbers(service.expose))
        ports.update(route.port for route in app.routes if route.service == service.name)
        ports.update(exposed.get(service.name, ()))
        ports.update(_health_ports(service))
        ports.update(_mentioned(service.name, project))
        if ports:
            found[service.name] = tuple(sorted(ports))
    return found


def plan_inside(
    project: Project,
    app: App,
    ports: Mapping[str, tuple[int, ...]],
    address: InsideAddress,
    met: Collection[str] = (),
) -> Inside:
    """Lead every caller of a rolling service through the edge, wherever an address and port is free for it.

    Where several want one port of an address it is given to one that is known to be called on it, of those to one
    in `met`, whose callers have that address already, then to one that others depend on, then to the first in the file.
    """
    owner: dict[tuple[str, int], str] = {}
    listeners: dict[tuple[str, int], InsideListener] = {}
    names: dict[str, list[tuple[str, str]]] = {}
    refused: dict[str, str] = {}
    called = inside_ports(project, app, {}, met)
    for service in _by_claim(project, ports, called, met):
        for caller in project.services:
            at = address(service, caller) if caller.name != service.name else None
            if at is None:
                continue
            taken = [port for port in ports[service.name] if owner.get((at, port), service.name) != service.name]
            if taken:
                refused.setdefault(service.name, _direct(service.name, owner[at, taken[0]], taken[0]))
                continue
            for port in ports[service.name]:
                owner[at, port] = service.name
                listeners[at, port] = InsideListener(
                    address=at,
                    port=port,
                    service=service.name,
                    target=port,
                    protocol="http" if speaks_http(service, port, app, project) else "tcp",
                )
            names.setdefault(caller.name, []).extend((name, at) for name in _names(service))
    return Inside(
        listeners=tuple(listeners[key] for key in sorted(listeners)),
        names=tuple((caller, tuple(sorted(set(entries)))) for caller, entries in sorted(names.items())),
        crowded_out=frozenset(refused) - {listener.service for listener in listeners.values()},
        notes=tuple((name, note) for name, note in refused.items() if name in called),
    )


def speaks_http(service: Service, port: int, app: App, project: Project) -> bool:
    """True when a route, the health check or another service's settings address that port by HTTP."""
    if any(route.service == service.name and route.port == port for route in app.routes):
        return True
    if service.health and re.search(rf"https?://[^\s\"']*:{port}\b", " ".join(service.health.test)):
        return True
    return any(f"http://{service.name}:{port}" in text for text in _texts(project, but=service.name))


def published(project: Project) -> tuple[TcpPort, ...]:
    """The TCP ports that the Compose file publishes on fixed host ports, ranges unrolled."""
    found = []
    for service in project.services:
        for port in service.ports:
            if port.protocol != "tcp" or not port.published or service.network_mode == "host":
                continue
            first = int(port.published.split("-")[0])
            if first:
                found.append(TcpPort(address=port.host_ip, port=first, service=service.name, target=port.target))
    return tuple(found)


def fronted(app: App, project: Project, inside: Inside) -> tuple[Endpoint, ...]:
    """Every (service, port) that the edge leads to."""
    names = set(project.service_names)
    led = [route.endpoint for route in app.routes if route.redirect_to is None and route.service in names]
    led += [port.endpoint for port in published(project)]
    led += [listener.endpoint for listener in inside.listeners]
    return tuple(sorted(set(led)))


def app_edge(
    app: App,
    project: Project,
    inside: Inside,
    upstreams: Mapping[Endpoint, tuple[Upstream, ...]],
    *,
    ends_tls: bool,
) -> AppEdge:
    """The edge's whole duty for this instance; `ends_tls` is False on a server where another proxy ends TLS."""
    return AppEdge(
        instance=app.instance,
        routes=app.routes,
        tcp_ports=published(project),
        inside=inside.listeners,
        upstreams=tuple((endpoint, upstreams.get(endpoint, ())) for endpoint in fronted(app, project, inside)),
        tls=_tls(app.tls, app) if ends_tls else Tls(mode="off", is_in_front=app.tls.mode != "off"),
        hold_limit=app.hold_limit,
    )


def _tls(policy: TlsPolicy, app: App) -> Tls:
    mode = policy.mode
    if mode == "auto":
        mode = "self-signed" if all(is_local(route.host) for route in app.routes) else "acme"
    return Tls(
        mode=mode,  # type: ignore[arg-type]
        certificate=_from(app.directory, policy.certificate),
        key=_from(app.directory, policy.key),
        dns_hook=_hook(app.directory, policy.dns_hook),
    )


def _from(directory: str, path: str | None) -> str | None:
    """A path as the manifest means it, wherever a later command or timer is run."""
    return posixpath.join(directory, path) if path else None


def _hook(directory: str, command: str | None) -> str | None:
    """The same for a command's program; a bare name is one on the PATH."""
    program = (command or "").partition(" ")[0]
    is_here = "/" in program and not program.startswith("/")
    return f"{shlex.quote(directory)}/{command}" if is_here else command


def _rolls(service: Service, project: Project) -> bool:
    return service.order is Order.START_FIRST and _has_own_network(service, project)


def _has_own_network(service: Service, project: Project) -> bool:
    return service.network_mode in (None, "bridge") and service.name not in project.jobs


def _by_claim(
    project: Project, ports: Collection[str], called: Collection[str], met: Collection[str]
) -> Iterable[Service]:
    """Those with ports, whoever has the best claim to one first; an image's EXPOSE alone is the weakest."""
    needed = {need.service for service in project.services for need in service.needs}

    def claim(service: Service) -> tuple[bool, ...]:
        return (service.name not in called, service.name not in met, service.name not in needed)

    return sorted((service for service in project.services if service.name in ports), key=claim)


def _names(service: Service) -> Iterator[str]:
    yield service.name
    if service.container_name:
        yield service.container_name
    for attachment in service.networks:
        yield from attachment.aliases


def _numbers(texts: Iterable[str]) -> Iterator[int]:
    for text in texts:
        digits = text.split("/")[0].split("-")[0]
        if digits.isdigit() and not text.endswith("/udp"):
            yield int(digits)


def _health_ports(service: Service) -> Iterator[int]:
    if service.health:
        for host, port in re.findall(
            r"(localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\]):(\d+)", " ".join(service.health.test)
        ):
            if host:
                yield int(port)


def _mentioned(name: str, project: Project) -> Iterator[int]:
    pattern = re.compile(rf"(?<![\w.-]){re.escape(name)}:(\d{{2,5}})\b")
    for text in _texts(project, but=name):
        yield from (int(port) for port in pattern.findall(text) if 0 < int(port) < 65536)


def _texts(project: Project, *, but: str) -> Iterator[str]:
    for service in project.services:
        if service.name == but:
            continue
        yield from (value for _, value in service.environment if value)
        yield from service.command or ()
        yield from service.entrypoint or ()


def _direct(service: str, other: str, port: int) -> str:
    return (
        f"calls inside the app reach {service} directly, not through the edge, so its release may cut one: "
        f"port {port} is also {other}'s; another port for one of them changes that"
    )
