"""An edge that leads nowhere, but says when real requests would have failed; the companion of MemoryEngine."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import assert_never

from havre.engines.memory import MemoryEngine
from havre.model.plan import Drain, EdgeStep, Hold, Resume, Switch


class MemoryEdge:
    """Records routes and holds.

    `complaints` fills while a service that is not held is led to a replica that does not run, was never proven, or
    calls one that was proven and is away, or when a replica that is still led to is drained.
    """

    def __init__(self, engine: MemoryEngine, instance: str) -> None:
        self._engine = engine
        self._instance = instance
        self._held: dict[str, set[str]] = {}
        self._calls: Mapping[str, Collection[str]] = {}
        self._served: set[str] = set()
        self.leads_to: dict[str, tuple[int, ...]] = {}
        self.complaints: list[str] = []
        self.proven: set[tuple[str, int]] = set()
        """(service, slot) of replicas that passed their health check; told by whoever proves them."""
        engine.watchers.append(self.check)

    @property
    def held(self) -> set[str]:
        """The services whose requests wait."""
        return {service for service, reasons in self._held.items() if reasons}

    def expect(self, calls: Mapping[str, Collection[str]]) -> None:
        """From now on, let services go away only while requests for those that call them are held."""
        self._calls, self._served = calls, set()
        self.check()

    def perform(self, step: EdgeStep) -> None:
        """Do one step at once."""
        match step:
            case Hold(service=service, callers=callers):
                for name in callers or (service,):
                    self._held.setdefault(name, set()).add(service)
            case Resume(service=service, callers=callers, slots=slots):
                self._resume(service, callers, slots)
            case Switch(to=to):
                self.leads_to = {service: slots for service, slots in to if slots}
                self._held.clear()
            case Drain(service=service, slot=slot):
                if service not in self.held and slot in self.leads_to.get(service, ()):
                    self.complaints.append(f"{service}.{slot} is drained while requests are led to it")
            case _:
                assert_never(step)
        self.check()

    def check(self) -> None:
        """Look at every route once."""
        running = {(r.service, r.slot) for r in self._engine.observe(self._instance).replicas if r.is_running}
        for service, slots in sorted(self.leads_to.items()):
            if service in self.held:
                continue
            for slot in slots:
                if (service, slot) not in running:
                    self.complaints.append(f"a route points at {service}.{slot}, which does not run")
                elif (service, slot) not in self.proven:
                    self.complaints.append(f"a route points at {service}.{slot}, which nobody proved")
        self._check_calls({service for service, _ in running & self.proven})

    def _resume(self, service: str, callers: Collection[str], slots: tuple[int, ...]) -> None:
        for name in (*callers, *([service] if slots else ())):
            self._held.get(name, set()).discard(service)
        if slots:
            self.leads_to[service] = slots

    def _check_calls(self, serving: set[str]) -> None:
        """What was never there is not missed."""
        self._served |= serving
        for service, callers in sorted(self._calls.items()):
            lost = set(callers) & set(self.leads_to) - self.held
            if service in self._served - serving and lost:
                self.complaints.append(f"{service}, which {', '.join(sorted(lost))} calls, is away")
