"""What a plan must know of the edge: whom it leads to by what it is told, and which replicas it leads to now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from havre.model.project import Project

Slots: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
"""For each service, the slots of some of its replicas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeFacts:
    """The edge as far as planning goes; an instance that nothing leads to has the default.

    `routed`, `published` and `inside` are the services that routes, published TCP ports and inside listeners
    will lead to after the release. `now` are the slots it leads to at present, for every service it leads to.
    `routes_changed` says that routes, ports or certificates differ from what the edge serves, replicas aside.
    """

    routed: frozenset[str] = frozenset()
    published: frozenset[str] = frozenset()
    inside: frozenset[str] = frozenset()
    now: Slots = ()
    leaving: Slots = ()
    """Slots that it no longer leads to but that may still be answering, after a release cut short."""
    routes_changed: bool = False
    is_astray: bool = False
    """A replica has another address than the edge leads to."""
    hold_limit: float = 15.0
    met: frozenset[str] = frozenset()
    """The services whose callers inside the app come through the edge at present."""
    direct: tuple[tuple[str, str], ...] = ()
    """(service, what follows) for those whose callers inside the app cannot be led through the edge."""
    serving: Project | None = None
    """The project of the replicas that it leads to at present; None when that is not known."""

    @property
    def led(self) -> frozenset[str]:
        """Every service that it leads to at present."""
        return frozenset(service for service, slots in self.now if slots)

    @property
    def services(self) -> frozenset[str]:
        """Every service that the edge will lead to."""
        return self.routed | self.published | self.inside

    def may_answer(self, service: str, slot: int) -> bool:
        """True when the replica may have requests that it must end before it stops."""
        return any(name == service and slot in slots for name, slots in (*self.now, *self.leaving))


def ordered(slots: Slots) -> Slots:
    """The same in one canonical form: by service, slots ascending, services without any left out."""
    return tuple(sorted((service, tuple(sorted(found))) for service, found in slots if found))
