"""The maps that lead a request to its route: everything about a route that changes without a reload.

A line of the routes map is `host/path/ mark|backend|limit|max body|period|log`; see `fields`.
Keys end in a slash and are compared with the request's path plus a slash, so a prefix matches whole segments only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from havre.edge.fields import MAINTENANCE, REDIRECT, Mark
from havre.edge.layout import Layout
from havre.edge.rules import adjusted_headers
from havre.edge.state import Applied, Backend
from havre.model.route import Route

Lines = Callable[[Applied], dict[str, str]]


def all_maps(layout: Layout) -> tuple[tuple[Path, Lines], ...]:
    """Every map, and how an app's lines of it are made."""
    return (layout.routes, route_lines), (layout.redirects, redirect_lines), (layout.held, held_lines)


def route_key(route: Route) -> str:
    """`shop.example/api/`: the host and path under which a route is found."""
    path = "/" + route.path.strip("/")
    return route.host.lower() + (path if path == "/" else path + "/")


def route_lines(applied: Applied) -> dict[str, str]:
    """The app's lines of the routes map."""
    return {route_key(route): _line(applied, route) for route in applied.app.routes}


def redirect_lines(applied: Applied) -> dict[str, str]:
    """The app's lines of the redirects map."""
    return {
        route_key(route): route.redirect_to.rstrip("/") for route in applied.app.routes if route.redirect_to is not None
    }


def held_lines(applied: Applied) -> dict[str, str]:
    """The app's backends whose requests wait, for how many milliseconds at most.

    For a hold that ends by itself, also when (seconds since 1970), and the servers that it is opened to then.
    """
    limit = str(round(applied.app.hold_limit * 1000))
    held = [(name, backend) for backend in applied.backends if backend.held for name in backend.names]
    ends = {f"{name}@until": _end(backend, backend.until) for name, backend in held if backend.until is not None}
    return {name: limit for name, _ in held} | ends


def read_map(text: str) -> dict[str, str]:
    """The lines of a map file."""
    return dict(line.split(" ", 1) for line in text.splitlines() if line)


def write_map(entries: Mapping[str, str]) -> str:
    """A map file, sorted so that equal contents are equal texts."""
    return "".join(f"{key} {entries[key]}\n" for key in sorted(entries))


def owner(line: str) -> str:
    """The app that a line of the routes map belongs to."""
    return line.rsplit("|", 1)[1].split('"', 1)[0]


def _end(backend: Backend, until: float) -> str:
    return " ".join([str(int(until)), *(slot.server for slot in backend.slots)])


def _line(applied: Applied, route: Route) -> str:
    limit = route.rate_limit
    fields = (
        _mark(applied, route).value,
        _answering(applied, route),
        str(limit.count) if limit else "",
        "" if route.max_body is None else str(route.max_body),
        str(limit.period) if limit else "",
        f'{applied.app.instance}","service":"{route.service}","route":"{route_key(route)}',
    )
    return "|".join(fields)


def _answering(applied: Applied, route: Route) -> str:
    if route.maintenance:
        return MAINTENANCE
    if route.redirect_to is not None:
        return REDIRECT
    backend = applied.backend(route.endpoint)
    return backend.names[0] if backend else "-"


def _mark(applied: Applied, route: Route) -> Mark:
    tls = applied.app.tls
    to_https = route.https_redirect and (tls.mode != "off" or tls.is_in_front)
    if adjusted_headers(route) is not None:
        return Mark.BOTH if to_https else Mark.HEADERS
    return Mark.HTTPS if to_https else Mark.NOTHING
