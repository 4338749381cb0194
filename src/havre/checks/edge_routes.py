"""Checks of routes by what the edge does with them: values that it refuses, and redirects that lead in circles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from havre.checks.case import Case, Check
from havre.errors import Problem, Severity
from havre.model.route import Route, route_for
from havre.model.route_rules import broken_rules

_WEB_PORTS = (None, 80, 443)


def _refused(case: Case) -> Iterator[Problem]:
    for index, route in enumerate(case.app.routes):
        for broken in broken_rules(route):
            yield Problem(
                summary=broken.summary,
                subject=route.host,
                at=case.app.place(f"routes[{index}].{broken.key}"),
                effect="the edge would refuse the app's routes, and the release with them",
                hint=broken.hint,
            )


def _loops(case: Case) -> Iterator[Problem]:
    ports = (*_WEB_PORTS, *case.edge_ports)
    for index, route in enumerate(case.app.routes):
        way = _followed(route, case.app.routes, ports)
        if len(way) > 1 and way[-1] == route:
            yield Problem(
                summary=f"{route.host}{route.path} redirects in a circle",
                subject=route.host,
                at=case.app.place(f"routes[{index}].redirect"),
                evidence=tuple(f"{one.host}{one.path} redirects to {one.redirect_to}" for one in way[:-1][:4]),
                effect="browsers give up with `too many redirects`",
                hint="redirect to a host or path that a service answers",
            )


def _own_certificate(case: Case) -> Iterator[Problem]:
    for problem in case.certificate:
        yield replace(problem, at=case.app.place("tls.certificate"), effect="the edge would refuse it, and the release")


def _followed(route: Route, routes: Sequence[Route], ports: Sequence[int | None]) -> tuple[Route, ...]:
    """The redirects that a visitor of a route passes, until something else answers or one comes a second time."""
    way: list[Route] = []
    at: Route | None = route
    path = route.path
    while at is not None and at.redirect_to is not None and at not in way:
        way.append(at)
        target = urlsplit(at.redirect_to)
        path = target.path.rstrip("/") + path
        at = route_for(target.hostname or "", path, routes) if target.port in ports else None
    return (*way, at) if at in way and at is not None else tuple(way)


CHECKS = (
    Check(
        id="route-refused",
        severity=Severity.ERROR,
        title="the edge takes every value of every route",
        doc="The edge's own rules for hosts, paths, limits, logins and headers, before a release meets them.",
        find=_refused,
    ),
    Check(
        id="route-loop",
        severity=Severity.ERROR,
        title="redirects lead to something that answers",
        doc="Followed from route to route of this app, with the path that a redirect keeps.",
        find=_loops,
    ),
    Check(
        id="tls-certificate",
        severity=Severity.ERROR,
        title="a certificate of one's own can be used",
        doc="With `mode: own`: both files are there, belong together, in order, name every host and have not ended.",
        find=_own_certificate,
    ),
)
