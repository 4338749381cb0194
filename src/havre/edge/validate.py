"""Refuse what HAProxy could misunderstand or two apps would fight over, before anything is written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from ipaddress import ip_network

from havre.edge.maps import route_key
from havre.errors import Problem
from havre.model.route import AppEdge, Route

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_HOST = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`~-]+")
_REDIRECT = re.compile(r"https?://[A-Za-z0-9._:\[\]-]+(/[^\s|'\"\\]*)?")
_HASH = re.compile(r"\$(1|2[aby]|5|6|y)\$[./A-Za-z0-9$=,-]+")


def problems(app: AppEdge, routes_of_others: Mapping[str, str]) -> Iterator[Problem]:
    """Everything wrong with one app's edge; `routes_of_others` is route key to the app that has it."""
    if not _NAME.fullmatch(app.instance):
        yield _bad(app, f"the name `{app.instance}` cannot be used at the edge", "use letters, digits, `-` and `_`")
    for name in sorted({service for service, _ in app.endpoints if service and not _NAME.fullmatch(service)}):
        yield _bad(app, f"the service name `{name}` cannot be used at the edge", "use letters, digits, `-` and `_`")
    for route in app.routes:
        yield from _route(app, route)
        owner = routes_of_others.get(route_key(route))
        if owner is not None:
            yield _bad(
                app,
                f"{route.host}{route.path} is already served by the app `{owner}`",
                f"choose another host or path, or remove the route from `{owner}` first",
            )
    yield from _twice(app)
    yield from _shared_settings(app)


def _route(app: AppEdge, route: Route) -> Iterator[Problem]:
    where = f"{route.host}{route.path}"
    if not _HOST.fullmatch(route.host.lower()) or len(route.host) > 253:
        yield _bad(app, f"`{route.host}` is not a host name", "write a name such as `shop.example` or `*.shop.example`")
    if not _PATH.fullmatch(route.path) or "//" in route.path or "/../" in route.path + "/":
        yield _bad(app, f"`{route.path}` is not a path prefix", "write a path such as `/api`, without `%` or `..`")
    if route.redirect_to is not None and not _REDIRECT.fullmatch(route.redirect_to):
        yield _bad(
            app, f"{where} redirects to something that is no address", "write `https://host` or `https://host/x`"
        )
    if route.redirect_to is None and not (route.service and 0 < route.port < 65536):
        yield _bad(app, f"{where} leads nowhere", "say which service and port answer, or where to redirect")
    yield from _limits(app, route, where)
    yield from _access(app, route, where)
    for name, value in route.headers:
        if not _HEADER.fullmatch(name) or (value is not None and re.search(r"[\x00-\x1f\x7f]", value)):
            yield _bad(app, f"the header `{name!r}` of {where} is malformed", "use one line and a plain header name")


def _limits(app: AppEdge, route: Route, where: str) -> Iterator[Problem]:
    limit = route.rate_limit
    if limit is not None and not (0 < limit.count < 2**31 and 0 < limit.period <= 86400):
        yield _bad(app, f"the rate limit of {where} is out of range", "at least 1 request, per at most one day")
    for name, value in (("timeout", route.timeout), ("tunnel_timeout", route.tunnel_timeout)):
        if value is not None and not 0 < value <= 7 * 86400:
            yield _bad(app, f"the {name} of {where} is out of range", "use more than 0 seconds and at most a week")
    if route.max_body is not None and route.max_body <= 0:
        yield _bad(app, f"the body limit of {where} is not positive", "leave it out for no limit")
    if route.cache_ttl is not None and not 0 < route.cache_ttl <= 86400:
        yield _bad(app, f"the cache time of {where} is out of range", "use 1 to 86400 seconds")


def _access(app: AppEdge, route: Route, where: str) -> Iterator[Problem]:
    for network in route.allow:
        if not _is_network(network):
            yield _bad(app, f"`{network}` in the allow list of {where} is no address", "write `10.0.0.0/8` or `::1`")
    for user, hashed in route.basic_auth:
        if not user or re.search(r"[\x00-\x1f\x7f:]", user):
            yield _bad(app, f"a user name of {where} is malformed", "use one word without a colon")
        if not _HASH.fullmatch(hashed):
            yield _bad(
                app, f"the password of `{user}` for {where} is not a crypt hash", "make one with `openssl passwd -6`"
            )


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


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _bad(app: AppEdge, summary: str, hint: str) -> Problem:
    return Problem(summary=summary, hint=hint, subject=app.instance, code="edge-route")
