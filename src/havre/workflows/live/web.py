"""The app as visitors meet it: through the edge, with and without TLS, as a foreign page, and all at once."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace

from havre.checks.launch.web import FOREIGN_ORIGIN
from havre.host import clock
from havre.model.app import Verification
from havre.model.launch import Burst, WebAnswer
from havre.model.route import Route
from havre.workflows.verify import Target, ask, differences

PATIENCE = 10.0
MOST_REQUESTS = 500
"""A limit above this is not tried: the test must never be the load it looks for."""

LONGEST_BURST = 20.0
_NOBODY = "127.84.29.7"
"""An address of this machine that no visitor comes from: limits count by address."""


def ask_routes(routes: Sequence[Route], plain: Target, secure: Target | None) -> Iterator[WebAnswer]:
    """Every route's first page without TLS, and with it where TLS ends here or DNS leads to who ends it."""
    for route in _each_once(routes):
        yield _answer(Verification(path=route.path), route.host, replace(plain, scheme_seen="http"))
        if secure is not None:
            yield _answer(Verification(path=route.path), route.host, secure)


def ask_as_foreign_page(routes: Sequence[Route], target: Target) -> Iterator[WebAnswer]:
    """What a page of another site gets to read, asked at once and asked first (OPTIONS)."""
    for route in _each_once(routes):
        headers = (("Origin", FOREIGN_ORIGIN),)
        simple = _answer(Verification(path=route.path, headers=headers), route.host, target)
        wish = (
            *headers,
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "authorization"),
        )
        first = _answer(Verification(method="OPTIONS", path=route.path, headers=wish), route.host, target)
        yield next((one for one in (simple, first) if one.header("access-control-allow-origin")), simple)


def broken_promises(promises: Sequence[Verification], target: Target, default_host: str) -> Iterator[str]:
    """How the live app's answers differ from `release.verify`."""
    for promise in promises:
        host = promise.host or default_host
        try:
            different = differences(promise, ask(promise, target, host))
        except (OSError, http.client.HTTPException) as error:
            different = (f"no answer: {error}",)
        if different:
            yield f"{promise.method} {promise.path} of {host}: {'; '.join(different)}"


def try_limits(routes: Sequence[Route], target: Target, *, wanted: bool) -> Iterator[Burst]:
    """One request more than each limit allows; over plain http the edge itself answers, and no service is bothered."""
    for route in routes:
        if route.rate_limit is None:
            continue
        burst = Burst(route=f"{route.host}{route.path}", limit=str(route.rate_limit))
        if not wanted:
            yield replace(burst, skipped="not tried, as you asked")
        elif route.rate_limit.count > MOST_REQUESTS:
            yield replace(burst, skipped=f"not tried: it would take more than {MOST_REQUESTS} requests")
        else:
            yield _try(burst, route, target, route.rate_limit.count)


def _try(burst: Burst, route: Route, target: Target, allowed: int) -> Burst:
    """Stop at the first 429: a little more than the limit is sent, since it counts within five percent."""
    most, until = allowed + max(2, allowed // 20), clock.elapsed() + LONGEST_BURST
    connection = http.client.HTTPConnection(target.address, target.port, PATIENCE, source_address=_source(target))
    sent = 0
    try:
        while sent < most and clock.elapsed() < until:
            connection.request("HEAD", route.path, headers={"Host": route.host, "User-Agent": "havre-checklist"})
            answer = connection.getresponse()
            answer.read()
            sent += 1
            if answer.status == 429:
                return replace(burst, sent=sent, refused_at=sent)
    except (OSError, http.client.HTTPException) as error:
        return replace(burst, sent=sent, error=f"no answer: {error}")
    finally:
        connection.close()
    return replace(burst, sent=sent)


def _source(target: Target) -> tuple[str, int] | None:
    return (_NOBODY, 0) if target.address.startswith("127.") else None


def _each_once(routes: Sequence[Route]) -> Iterator[Route]:
    seen: set[tuple[str, str]] = set()
    for route in routes:
        if (route.host, route.path) not in seen and not route.host.startswith("*."):
            seen.add((route.host, route.path))
            yield route


def _answer(question: Verification, host: str, target: Target) -> WebAnswer:
    empty = WebAnswer(host=host, path=question.path, tls=target.tls)
    try:
        found = ask(question, target, host)
    except (OSError, http.client.HTTPException, socket.gaierror) as error:
        return replace(empty, error=f"no answer: {str(error) or type(error).__name__}")
    return replace(empty, status=found.status, headers=found.headers)
