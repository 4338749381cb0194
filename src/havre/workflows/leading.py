"""Where the edge leads while a release is on its way: what is held, what gets its requests back, what is met early.

Until the switch everything is led as before, but for these; each may come while any other lasts.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from havre.errors import HavreError
from havre.host import clock
from havre.model.plan import Drain, Hold
from havre.model.route import AppEdge, Endpoint, Upstream
from havre.workflows.execute import Cancellation
from havre.workflows.server import Traffic, upstream_name

POLL = 0.05
OLD_WORKERS_LIMIT = 20.0
"""Seconds: HAProxy's idle keep-alive connections end within 15 s of a reload (edge.md)."""
UNDER_WAY = 2.0
"""Seconds that requests under way get to end before what they call is stopped; a websocket would never end."""
MARGIN = 1.0
"""Callers get their requests back so many seconds before the edge would answer 503 to the first that waited."""


@dataclass(slots=True)
class Leading:
    """The edge of one instance during one release; safe to call from several threads."""

    traffic: Traffic
    instance: str
    before: AppEdge | None
    """What the edge served when the release began."""
    cancellation: Cancellation
    patience: float = 0.0
    """Seconds to wait, before anything is held, for workers of the edge that cannot be told to hold."""
    since: dict[Endpoint, float] = field(default_factory=dict)
    """Since when requests wait (seconds since 1970); they go on waiting while a release that failed is undone."""
    _early: AppEdge | None = None
    _moved: dict[Endpoint, tuple[Upstream, ...]] = field(default_factory=dict)
    _held: dict[Endpoint, set[str]] = field(default_factory=dict)
    """Whose requests wait, and which stop-first services for."""
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def hold(self, step: Hold) -> None:
        """Let new requests wait; where callers wait, return when those under way have ended, or had time to.

        Callers wait no longer than the step's limit: they run, and may have an answer without what they call.
        """
        if not self._held:
            self.traffic.await_old_workers(self.patience)
        held = self._hold(step.callers or (step.service,), step.service)
        if step.callers and held:
            longest = max(step.limit - MARGIN, step.limit / 2)
            left = max(0.0, min(held.values()) + longest - clock.now())
            self.cancellation.after(min(left, longest), partial(self._let_go, step.service))
            self._await_idle(held)

    def drain(self, step: Drain) -> None:
        """Wait until a replica has answered what it was asked; old workers are not waited for while others wait."""
        name = upstream_name(step.service, step.slot)
        if self.traffic.read(self.instance) is None:
            return
        deadline = clock.elapsed() + step.limit
        if not self._held:
            self.traffic.await_old_workers(OLD_WORKERS_LIMIT)
        while self.traffic.draining(self.instance).get(name, 0) and clock.elapsed() < deadline:
            self.cancellation.pause(POLL)
        self.traffic.forget(self.instance, name)

    def resume(self, service: str, callers: Collection[str], found: Mapping[Endpoint, tuple[Upstream, ...]]) -> None:
        """Lead the callers as before, and what `found` names to there, unless they wait for another service too."""
        with self._lock:
            self._moved.update(found)
            waited = [endpoint for endpoint in self._held if endpoint[0] in callers]
            self._free(service, [*found, *waited])
            self._apply()

    def meet(self, early: AppEdge) -> None:
        """Open inside listeners of new services, or lead them to new replicas, beside all that is led."""
        with self._lock:
            self._early = early
            self.traffic.ensure_running()
            self._apply()

    def switch(self, wanted: AppEdge) -> None:
        """Lead as the release wants it; no hold outlives that."""
        with self._lock:
            self.traffic.apply(wanted)
            self._held.clear()
            self.since.clear()

    def _hold(self, services: Collection[str], reason: str) -> dict[Endpoint, float]:
        """What is held, and since when."""
        applied = self.traffic.read(self.instance)
        held = [endpoint for endpoint in (applied.endpoints if applied else ()) if endpoint[0] in services]
        with self._lock:
            for service, port in held:
                self._held.setdefault((service, port), set()).add(reason)
                self.since.setdefault((service, port), clock.now())
                until = self._until(applied).get((service, port))
                self.traffic.hold(self.instance, service, port, until=until)
            return {endpoint: self.since[endpoint] for endpoint in held}

    def _await_idle(self, held: Iterable[Endpoint]) -> None:
        services = {service for service, _ in held}
        deadline = clock.elapsed() + UNDER_WAY
        while self._are_answering(services) and clock.elapsed() < deadline:
            self.cancellation.pause(POLL)

    def _are_answering(self, services: Collection[str]) -> bool:
        draining = self.traffic.draining(self.instance)
        return any(count and name.rpartition(".")[0] in services for name, count in draining.items())

    def _let_go(self, service: str) -> None:
        """The callers have waited long enough."""
        with self._lock:
            callers = {endpoint for endpoint, reasons in self._held.items() if service in reasons}
            callers = {endpoint for endpoint in callers if endpoint[0] != service}
            if callers:
                self._free(service, callers)
                with contextlib.suppress(HavreError):  # they go on waiting, and the release says what is wrong
                    self._apply()

    def _free(self, service: str, endpoints: Iterable[Endpoint]) -> None:
        for endpoint in endpoints:
            reasons = self._held.get(endpoint, set())
            reasons.discard(service)
            if not reasons:
                self._held.pop(endpoint, None)
                self.since.pop(endpoint, None)

    def _apply(self) -> None:
        edge = self._standing()
        if edge is not None:
            upstreams = tuple((endpoint, () if endpoint in self._held else found) for endpoint, found in edge.upstreams)
            led = replace(edge, upstreams=upstreams)
            self.traffic.apply(led, hold=tuple(self._held), until=self._until(edge))

    def _until(self, edge: AppEdge | None) -> dict[Endpoint, float]:
        """When the edge itself leads to callers again, should nobody be left to tell it: they run."""
        limit = edge.hold_limit if edge else 0.0
        return {
            endpoint: self.since[endpoint] + limit
            for endpoint, reasons in self._held.items()
            if endpoint[0] not in reasons
        }

    def _standing(self) -> AppEdge | None:
        """What is led until the switch, were nothing held."""
        if self.before is None:
            return self._early
        upstreams = tuple(sorted((dict(self.before.upstreams) | self._moved).items()))
        before = replace(self.before, upstreams=upstreams)
        return _beside(before, self._early) if self._early else before


def _beside(before: AppEdge, early: AppEdge) -> AppEdge:
    """What served before, unchanged, plus the new inside listeners and the replicas behind them."""
    known = {(listener.address, listener.port) for listener in before.inside}
    added = tuple(listener for listener in early.inside if (listener.address, listener.port) not in known)
    served = {endpoint for endpoint, replicas in before.upstreams if replicas}
    upstreams = dict(before.upstreams) | {k: v for k, v in early.upstreams if k not in served}
    return replace(before, inside=before.inside + added, upstreams=tuple(sorted(upstreams.items())))
