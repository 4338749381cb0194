"""The part of a release after the point of no return: lead traffic over, verify, and let go of what is replaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from havre.model.observed import Observed, ObservedReplica
from havre.model.plan import Drain, Phase, RemoveNetwork, RemoveReplica, StopReplica
from havre.model.project import Project
from havre.planning.compare import Change, Leave
from havre.planning.draft import Draft
from havre.planning.facts import EdgeFacts

GRACE = 10.0
"""Seconds a replica gets to stop when no file says any more how long it may take."""


@dataclass(frozen=True, slots=True)
class Retiring:
    """Adds the steps that drain, stop and remove; `after` is the proof that nothing needs the old any more."""

    draft: Draft
    edge: EdgeFacts
    after: tuple[int, ...]

    def let_go(self, changes: Mapping[str, Change]) -> list[int]:
        """Replaced and surplus replicas, dependents before what they depend on; returns the removals."""
        removed = []
        for change in reversed(list(changes.values())):
            stopped_already = change.stops_first
            for leave in change.leave:
                alive = leave.is_alive and not stopped_already
                removed.append(self._one(leave, grace=change.service.stop_grace, alive=alive))
        return removed

    def remove(self, replicas: Sequence[ObservedReplica], reason: str, *, grace: float = GRACE) -> list[int]:
        """Drain, stop and remove replicas, whatever state they are in."""
        leaving = [Leave(replica=replica, reason=reason) for replica in replicas]
        return [self._one(leave, grace=grace, alive=leave.is_alive) for leave in leaving]

    def remove_networks(self, project: Project, observed: Observed, removed: Iterable[int]) -> None:
        """Networks of this instance that the project does not declare any more."""
        declared = {network.name for network in project.networks}
        for network in sorted(observed.networks, key=lambda network: network.name):
            if network.instance == observed.instance and network.name not in declared:
                step = RemoveNetwork(name=network.name)
                reason = "not in the Compose file any more"
                self.draft.add(step, reason, phase=Phase.RETIRE, after=[*self.after, *removed])

    def _one(self, leave: Leave, *, grace: float, alive: bool) -> int:
        service, slot = leave.replica.service, leave.replica.slot
        after = self.after
        if alive and self.edge.may_answer(service, slot):
            drain = Drain(service=service, slot=slot, limit=grace)
            after = (self.draft.add(drain, leave.reason, phase=Phase.RETIRE, after=after),)
        if alive:
            stop = StopReplica(service=service, slot=slot, grace=grace)
            after = (self.draft.add(stop, leave.reason, phase=Phase.RETIRE, after=after),)
        remove = RemoveReplica(service=service, slot=slot)
        return self.draft.add(remove, leave.reason, phase=Phase.RETIRE, after=after)
