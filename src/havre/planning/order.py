"""Which services come before which: what a migration needs up, and what nothing that starts waits for."""

from __future__ import annotations

from collections.abc import Mapping

from havre.model.project import Service
from havre.planning.compare import Change, needs_of


def everything_under(service: str, services: Mapping[str, Service]) -> frozenset[str]:
    """All of these services that `service` depends on, directly or not."""
    found: set[str] = set()
    ahead = [service]
    while ahead:
        one = services.get(ahead.pop())
        for need in needs_of(one) if one is not None else ():
            if need.service in services and need.service not in found:
                found.add(need.service)
                ahead.append(need.service)
    return frozenset(found)


def left_for_last(changes: Mapping[str, Change]) -> frozenset[str]:
    """Stop-first services that nothing else that starts depends on: they wait until all others are proven.

    So nothing is taken down for a release that fails elsewhere, and the time without them is the shortest.
    """
    awaited = {need.service for change in changes.values() if change.start for need in needs_of(change.service)}
    return frozenset(name for name, change in changes.items() if change.stops_first and name not in awaited)
