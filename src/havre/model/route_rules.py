"""What a route may say: the bounds that the edge keeps, so that whoever wrote it learns of them before a release."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from havre.model.route import Route

_HOST = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`~-]+")
_REDIRECT = re.compile(r"https?://[A-Za-z0-9._:\[\]-]+(/[^\s|'\"\\]*)?")
_HASH = re.compile(r"\$(1|2[aby]|5|6|y)\$[./A-Za-z0-9$=,-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A rule that a route breaks; `key` is the manifest's word for what breaks it."""

    key: str
    summary: str
    hint: str


def broken_rules(route: Route) -> Iterator[Broken]:
    """Everything that the edge would refuse in one route by itself."""
    where = f"{route.host}{route.path}"
    yield from _address(route, where)
    yield from _limits(route, where)
    yield from _access(route, where)
    for name, value in route.headers:
        if not _HEADER.fullmatch(name) or (value is not None and re.search(r"[\x00-\x1f\x7f]", value)):
            yield _broken(
                "headers", f"the header `{name!r}` of {where} is malformed", "use one line and a plain header name"
            )


def _address(route: Route, where: str) -> Iterator[Broken]:
    if not _HOST.fullmatch(route.host.lower()) or len(route.host) > 253:
        yield _broken(
            "host", f"`{route.host}` is not a host name", "write a name such as `shop.example` or `*.shop.example`"
        )
    if not _PATH.fullmatch(route.path) or "//" in route.path or re.search(r"/\.\.?/", route.path + "/"):
        yield _broken(
            "path", f"`{route.path}` is not a path prefix", "write a path such as `/api`, without `%` or `..`"
        )
    if route.redirect_to is not None and not _REDIRECT.fullmatch(route.redirect_to):
        yield _broken(
            "redirect", f"{where} redirects to something that is no address", "write `https://host` or `https://host/x`"
        )
    if route.redirect_to is None and not (route.service and 0 < route.port < 65536):
        yield _broken("to", f"{where} leads nowhere", "say which service and port answer, or where to redirect")


def _limits(route: Route, where: str) -> Iterator[Broken]:
    limit = route.rate_limit
    if limit is not None and not (0 < limit.count < 2**31 and 0 < limit.period <= 86400):
        yield _broken(
            "rate_limit", f"the rate limit of {where} is out of range", "at least 1 request, per at most one day"
        )
    for key, value in (("timeout", route.timeout), ("websocket_timeout", route.tunnel_timeout)):
        if value is not None and not 0 < value <= 7 * 86400:
            yield _broken(key, f"the {key} of {where} is out of range", "use more than 0 seconds and at most a week")
    if route.max_body is not None and route.max_body <= 0:
        yield _broken("max_body", f"the body limit of {where} is not positive", "leave it out for no limit")
    if route.cache_ttl is not None and not 0 < route.cache_ttl <= 86400:
        yield _broken("cache", f"the cache time of {where} is out of range", "use 1 to 86400 seconds")


def _access(route: Route, where: str) -> Iterator[Broken]:
    for network in route.allow:
        if not _is_network(network):
            yield _broken(
                "allow", f"`{network}` in the allow list of {where} is no address", "write `10.0.0.0/8` or `::1`"
            )
    for user, hashed in route.basic_auth:
        if not user or re.search(r"[\x00-\x1f\x7f:]", user):
            yield _broken("basic_auth", f"a user name of {where} is malformed", "use one word without a colon")
        if not _HASH.fullmatch(hashed):
            yield _broken(
                "basic_auth",
                f"the password of `{user}` for {where} is not a crypt hash",
                "make one with `openssl passwd -6`",
            )


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _broken(key: str, summary: str, hint: str) -> Broken:
    return Broken(key=key, summary=summary, hint=hint)
