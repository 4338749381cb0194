"""The rules of routes that need more than the map can say: written into the app's own backend, guarded by the route.

They cost other apps nothing, and a change of them is a change of structure (one reload).
"""

from __future__ import annotations

from collections.abc import Sequence

from havre.edge.fields import KEY
from havre.edge.text import literal, literal_format, milliseconds
from havre.model.route import SECURITY_HEADERS, STRICT_TRANSPORT, Route

_COMPRESSIBLE = (
    "text/html text/plain text/css text/javascript application/javascript application/json application/xml"
    " application/manifest+json application/wasm image/svg+xml"
)


def adjusted_headers(route: Route) -> tuple[tuple[str, str | None], ...] | None:
    """All answer headers of a route that adjusts the default ones, or None when it does not."""
    if not route.headers:
        return None
    adjusted = {name.lower(): (name, value) for name, value in route.headers}
    defaults: list[tuple[str, str | None]] = [
        header for header in (*SECURITY_HEADERS, STRICT_TRANSPORT) if header[0].lower() not in adjusted
    ]
    return (*defaults, *adjusted.values())


def backend_rules(instance: str, name: str, routes: Sequence[tuple[str, Route]]) -> list[str]:
    """The lines of an HTTP backend for its (key, route) pairs; empty for plain routes."""
    rules: list[str] = []
    if not routes:
        return rules
    first = routes[0][1]
    if first.balance != "leastconn":
        rules.append(f"  balance {first.balance}")
    if first.sticky:
        cookie = f"havre-{instance}-{first.service}"
        rules.append(f"  cookie {cookie} insert indirect nocache httponly attr SameSite=Lax")
    if any(route.cache_ttl is not None for _, route in routes):
        rules.append("  filter cache havre")
    if first.compress:
        rules += ["  filter compression", "  compression algo gzip", f"  compression type {_COMPRESSIBLE}"]
    for number, (key, route) in enumerate(routes, 1):
        rules += _route_rules(f"r{number}", f"{name}.users.{number}", key, route)
    return rules


def user_lists(name: str, routes: Sequence[tuple[str, Route]]) -> list[str]:
    """The logins of the routes, as sections that their rules name."""
    sections: list[str] = []
    for number, (_, route) in enumerate(routes, 1):
        if route.basic_auth:
            users = [f"  user {literal(user)} password {literal(hashed)}" for user, hashed in route.basic_auth]
            sections += [f"userlist {name}.users.{number}", *users, ""]
    return sections


def _route_rules(acl: str, users: str, key: str, route: Route) -> list[str]:
    rules = [
        *_admission(acl, users, route),
        *_caching(acl, route),
        *_prefix(acl, route),
        *_timeouts(acl, route),
        *_headers(acl, route),
    ]
    return [f"  acl {acl} {literal(KEY)} -m str {literal(key)}", *rules] if rules else []


def _admission(acl: str, users: str, route: Route) -> list[str]:
    rules = []
    if route.allow:
        rules.append(f"  http-request deny deny_status 403 if {acl} !{{ src {' '.join(route.allow)} }}")
    if route.basic_auth:
        rules.append(f"  http-request auth realm {literal(route.host)} if {acl} !{{ http_auth({users}) }}")
    return rules


def _caching(acl: str, route: Route) -> list[str]:
    """Keep an answer `cache_ttl` seconds, unless the app forbids it; its own Cache-Control reaches the visitor.

    One that sets a cookie is for one visitor: kept, it would give his session to all others.
    """
    if route.cache_ttl is None:
        return []
    may = f"{acl} !{{ var(txn.cc) -m sub no-store private no-cache }} !{{ res.hdr(set-cookie) -m found }}"
    return [
        f"  http-request cache-use havre if {acl}",
        f"  http-response set-var(txn.cc) res.hdr(cache-control),lower if {acl}",
        f"  http-response set-header Cache-Control 'public, max-age={route.cache_ttl}' if {may}",
        f"  http-response cache-store havre if {may}",
        f"  http-response set-header Cache-Control %[var(txn.cc)] if {acl} {{ var(txn.cc) -m found }}",
    ]


def _prefix(acl: str, route: Route) -> list[str]:
    path = "/" + route.path.strip("/")
    if not route.strip_prefix or path == "/":
        return []
    escaped = "".join(letter if letter.isalnum() or letter in "/_~-" else f"[{letter}]" for letter in path)
    return [
        f"  http-request set-header X-Forwarded-Prefix {literal_format(path)} if {acl}",
        f"  http-request replace-path {literal(f'^{escaped}/*(.*)')} {literal(chr(47) + chr(92) + '1')} if {acl}",
    ]


def _timeouts(acl: str, route: Route) -> list[str]:
    rules = []
    if route.timeout is not None:
        rules.append(f"  http-request set-timeout server {milliseconds(route.timeout)} if {acl}")
    if route.tunnel_timeout is not None:
        rules.append(f"  http-request set-timeout tunnel {milliseconds(route.tunnel_timeout)} if {acl}")
    return rules


def _headers(acl: str, route: Route) -> list[str]:
    """After the response, so that what the edge itself says for the route (401, 403, 503) has them too."""
    rules = []
    for name, value in adjusted_headers(route) or ():
        secure = " { var(txn.proto) -m str https }" if name == STRICT_TRANSPORT[0] else ""
        if value is None:
            rules.append(f"  http-after-response del-header {name} if {acl}")
        elif (name, value) in (*SECURITY_HEADERS, STRICT_TRANSPORT):
            absent = f"!{{ res.hdr({name}) -m found }}"
            rules.append(f"  http-after-response set-header {name} {literal_format(value)} if {acl}{secure} {absent}")
        else:
            rules.append(f"  http-after-response set-header {name} {literal_format(value)} if {acl}{secure}")
    return rules
