"""Hold an app's requests at the edge while what serves them changes places."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from havre.host import clock
from havre.workflows.server import Server

IN_FLIGHT = 0.5
"""Seconds that requests under way get to end, between holding new ones and the change."""


@contextlib.contextmanager
def requests_held(server: Server, instance: str) -> Iterator[None]:
    """New requests to the app wait for the block; those under way get a moment to end."""
    edge = server.traffic.read(instance)
    if edge is None or not edge.endpoints:
        yield
        return
    for service, port in edge.endpoints:
        server.traffic.hold(instance, service, port)
    try:
        clock.sleep(IN_FLIGHT)
        yield
    finally:
        server.traffic.apply(edge)
