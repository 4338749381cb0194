"""An edge that leads nowhere, but says when real requests would have failed; the companion of MemoryEngine."""

from __future__ import annotations

from typing import assert_never

from havre.engines.memory import MemoryEngine
from havre.model.plan import Drain, EdgeStep, Hold, Switch


class MemoryEdge:
    """Records routes and holds.

    `complaints` fills while a service that is not held is led to a replica that does not run, was never proven, or
    when a replica that is still led to is drained.
    """

    def __init__(self, engine: MemoryEngine, instance: str) -> None:
        self._engine = engine
        self._instance = instance
        self.leads_to: dict[str, tuple[int, ...]] = {}
        self.held: set[str] = set()
        self.complaints: list[str] = []
        self.proven: set[tuple[str, int]] = set()
        """(service, slot) of replicas that passed their health check; told by whoever proves them."""
        engine.watchers.append(self.check)

    def perform(self, step: EdgeStep) -> None:
        """Do one step at once."""
        match step:
            case Hold(service=service):
                self.held.add(service)
            case Switch(to=to):
                self.leads_to = {service: slots for service, slots in to if slots}
                self.held.clear()
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
