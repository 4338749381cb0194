"""One app's part of the configuration: backends with their server slots, published ports, inside listeners."""

from __future__ import annotations

from collections.abc import Sequence

from havre.edge.holding import HOLD_LIMIT, hold_server, retries, wait
from havre.edge.maps import route_key
from havre.edge.names import HTTP, NO_REPEAT, TCP
from havre.edge.rules import backend_rules, user_lists
from havre.edge.state import Applied, Backend
from havre.edge.text import lines
from havre.model.route import AppEdge, EdgeSettings, Endpoint, InsideListener, Route, TcpPort

STANDARD_CAPACITY = 4
CLOSED = "127.0.0.1:1"
"""Where nothing listens: the address of free slots."""


def app_configuration(applied: Applied, settings: EdgeSettings) -> str:
    """The file of one app."""
    return "\n".join([*structure(applied, settings, with_replicas=True), ""])


def structure(applied: Applied, settings: EdgeSettings, *, with_replicas: bool = False) -> list[str]:
    """The app's sections; without replicas, two texts are equal exactly when no reload is needed between them."""
    sections = []
    for backend in applied.backends:
        filled = backend if with_replicas else Backend(
            endpoint=backend.endpoint, names=backend.names, capacity=backend.capacity, sticky=backend.sticky
        )  # fmt: skip
        sections += [_backend(applied.app, filled, name) for name in backend.names]
    sections += [_published(applied, port) for port in applied.app.tcp_ports]
    sections += [_inside(applied, listener, settings) for listener in applied.app.inside]
    return sections


def spare(name: str) -> str:
    """A backend made in advance: what an app with plain routes needs, under a neutral name."""
    empty = Backend(endpoint=("", 0), names=(name,), capacity=STANDARD_CAPACITY)
    return _backend(AppEdge(instance=""), empty, name)


def is_tcp(name: str) -> bool:
    """True for the backends in TCP mode."""
    return name.endswith(".tcp")


def needs_http(app: AppEdge, endpoint: Endpoint) -> bool:
    """True when requests are led to `endpoint`."""
    inside = any(listener.endpoint == endpoint and listener.protocol == "http" for listener in app.inside)
    return inside or bool(routes_to(app, endpoint))


def needs_tcp(app: AppEdge, endpoint: Endpoint) -> bool:
    """True when connections are led to `endpoint`."""
    inside = any(listener.endpoint == endpoint and listener.protocol == "tcp" for listener in app.inside)
    return inside or any(port.endpoint == endpoint for port in app.tcp_ports)


def routes_to(app: AppEdge, endpoint: Endpoint) -> list[Route]:
    """The routes that `endpoint` answers, longest first."""
    return [route for route in app.routes if route.redirect_to is None and route.endpoint == endpoint]


def is_plain(app: AppEdge, endpoint: Endpoint) -> bool:
    """True when a spare backend can serve `endpoint`."""
    return not _rules(app, endpoint, "x")


def _backend(app: AppEdge, backend: Backend, name: str) -> str:
    tcp = is_tcp(name)
    keyed = _keyed(app, backend.endpoint)
    rules = [] if tcp else backend_rules(app.instance, name, keyed)
    lists = [] if tcp else user_lists(name, keyed)
    balanced = any(rule.startswith("  balance ") for rule in rules)
    tries = [] if app.hold_limit == HOLD_LIMIT else [f"  retries {retries(app.hold_limit)}"]
    return lines(
        lists,
        f"backend {name} from {TCP if tcp else HTTP}",
        [] if balanced else "  balance leastconn",
        rules,
        tries if tcp else [],
        wait(is_tcp=tcp),
        _servers(backend),
        hold_server(is_tcp=tcp, is_held=backend.held),
    )


def _servers(backend: Backend) -> list[str]:
    taken = {slot.number: slot for slot in backend.slots}
    servers = []
    for number in range(1, backend.capacity + 1):
        slot = taken.get(number)
        cookie = f" cookie s{number}" if backend.sticky else ""
        if slot is None:
            servers.append(f"  server s{number} {CLOSED}{cookie} check disabled")
        else:
            at = f"{_bracketed(slot.upstream.address)}:{slot.upstream.port}"
            disabled = "" if slot.state == "ready" else " disabled"
            servers.append(f"  server s{number} {at}{cookie} check{disabled}")
    return servers


def _published(applied: Applied, port: TcpPort) -> str:
    backend = applied.backend(port.endpoint)
    name = next(name for name in (backend.names if backend else ()) if is_tcp(name))
    return lines(
        f"frontend {applied.app.instance}.tcp.{port.address}.{port.port} from {TCP}",
        f"  bind {_bracketed(port.address)}:{port.port}{' v6only' if port.address == '::' else ''}",
        f"  unique-id-format {name}",
        "  no log",
        f"  default_backend {name}",
    )


def _inside(applied: Applied, listener: InsideListener, settings: EdgeSettings) -> str:
    backend = applied.backend(listener.endpoint)
    wants_tcp = listener.protocol == "tcp"
    name = next(name for name in (backend.names if backend else ()) if is_tcp(name) == wants_tcp)
    transparent = " transparent" if settings.nonlocal_bind else ""
    return lines(
        f"frontend {applied.app.instance}.inside.{listener.address}.{listener.port} from {TCP if wants_tcp else HTTP}",
        f"  bind {_bracketed(listener.address)}:{listener.port}{transparent}",
        f"  unique-id-format {name}",
        "  no log",
        [] if wants_tcp else NO_REPEAT,
        f"  default_backend {name}",
    )


def _keyed(app: AppEdge, endpoint: Endpoint) -> Sequence[tuple[str, Route]]:
    return [(route_key(route), route) for route in routes_to(app, endpoint)]


def _rules(app: AppEdge, endpoint: Endpoint, name: str) -> list[str]:
    return backend_rules(app.instance, name, _keyed(app, endpoint))


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
