"""Hold an app's requests at the edge while what serves them changes places, outside a release."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence

from havre.host import clock
from havre.model.plan import Hold
from havre.model.project import Project
from havre.model.route import AppEdge
from havre.planning.callers import Callers
from havre.workflows.execute import Cancellation
from havre.workflows.leading import Leading
from havre.workflows.server import Traffic, called_through, slots_by_service

IN_FLIGHT = 0.5
"""Seconds that requests under way get to end, between holding new ones and the change."""


@contextlib.contextmanager
def requests_held(traffic: Traffic, instance: str) -> Iterator[None]:
    """New requests to the app wait for the block, or the app's limit; those under way get a moment to end."""
    edge = traffic.read(instance)
    if edge is None or not edge.endpoints:
        yield
        return
    try:
        for service, port in edge.endpoints:
            traffic.hold(instance, service, port, until=clock.now() + edge.hold_limit)
        clock.sleep(IN_FLIGHT)
        yield
    finally:
        traffic.apply(edge)


@contextlib.contextmanager
def doors_closed(
    traffic: Traffic, edge: AppEdge | None, services: Sequence[str], waiting: Sequence[str]
) -> Iterator[None]:
    """New requests for `services` wait for the block; for `waiting`, which call them, no longer than the app's limit.

    `edge` is what is served before the block and after it.
    """
    if edge is None or not {service for service, _ in edge.endpoints} & {*services, *waiting}:
        yield
        return
    alarms = Cancellation()
    leading = Leading(traffic=traffic, instance=edge.instance, before=edge, cancellation=alarms)
    try:
        for name in services:
            leading.hold(Hold(service=name, limit=edge.hold_limit))
        if waiting:
            leading.hold(Hold(service=services[0], callers=tuple(waiting), limit=edge.hold_limit))
        yield
    finally:
        alarms.end()
        traffic.apply(edge)


def callers_of(edge: AppEdge | None, project: Project, services: Collection[str]) -> tuple[str, ...]:
    """The other services that the edge leads to, and that cannot answer without these."""
    led = [name for name, slots in slots_by_service(edge).items() if slots]
    met = called_through(edge)
    who = Callers(project)
    found = {caller for name in services for caller in who.of(name, led=led, met=met)}
    return tuple(sorted(found - set(services)))
