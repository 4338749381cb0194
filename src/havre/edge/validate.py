"""Refuse what HAProxy could misunderstand or two apps would fight over, before anything is written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from havre.edge.maps import route_key
from havre.errors import Problem
from havre.model.route import AppEdge
from havre.model.route_rules import broken_rules

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def problems(app: AppEdge, routes_of_others: Mapping[str, str]) -> Iterator[Problem]:
    """Everything wrong with one app's edge; `routes_of_others` is route key to the app that has it."""
    if not _NAME.fullmatch(app.instance):
        yield _bad(app, f"the name `{app.instance}` cannot be used at the edge", "use letters, digits, `-` and `_`")
    for name in sorted({service for service, _ in app.endpoints if service and not _NAME.fullmatch(service)}):
        yield _bad(app, f"the service name `{name}` cannot be used at the edge", "use letters, digits, `-` and `_`")
    for route in app.routes:
        for broken in broken_rules(route):
            yield _bad(app, broken.summary, broken.hint)
        owner = routes_of_others.get(route_key(route))
        if owner is not None:
            yield _bad(
                app,
                f"{route.host}{route.path} is already served by the app `{owner}`",
                f"choose another host or path, or remove the route from `{owner}` first",
            )
    yield from _twice(app)
    yield from _shared_settings(app)


def _twice(app: AppEdge) -> Iterator[Problem]:
    for key, count in Counter(route_key(route) for route in app.routes).items():
        if count > 1:
            yield _bad(app, f"{key.rstrip('/')} is routed {count} times", "keep one of the routes")
    listeners = [(port.address, port.port) for port in app.tcp_ports]
    listeners += [(listener.address, listener.port) for listener in app.inside]
    for (address, number), count in Counter(listeners).items():
        if count > 1:
            yield _bad(app, f"{address}:{number} is published {count} times", "keep one of them")


def _shared_settings(app: AppEdge) -> Iterator[Problem]:
    """Balancing, stickiness and compression hold for a service as a whole."""
    for endpoint in app.endpoints:
        routes = [route for route in app.routes if route.redirect_to is None and route.endpoint == endpoint]
        if len({(route.balance, route.sticky, route.compress) for route in routes}) > 1:
            name = f"{endpoint[0]}:{endpoint[1]}"
            yield _bad(
                app,
                f"the routes to {name} disagree about balance, sticky or compress",
                f"give all routes to {name} the same values",
            )


def _bad(app: AppEdge, summary: str, hint: str) -> Problem:
    return Problem(summary=summary, hint=hint, subject=app.instance, code="edge-route")
