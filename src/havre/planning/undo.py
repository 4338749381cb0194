"""How a release that failed is taken back: what served before serves again, and what failed is kept for its logs.

Before the switch, new replicas are stopped and removed, except those that failed; stop-first services get their old
replica back. After the switch, traffic goes back first, and all new replicas are kept stopped. Once the release has
been verified there is no way back: what is left of letting go is done instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from havre.model.observed import Observed, ObservedReplica, ReplicaState
from havre.model.plan import (
    AwaitHealthy,
    CreateNetwork,
    Drain,
    Hold,
    Phase,
    Plan,
    RemoveNetwork,
    RemoveReplica,
    RestartReplica,
    Resume,
    RunTask,
    StartReplica,
    StopReplica,
    Switch,
    UndoMigration,
)
from havre.model.project import Project, Service
from havre.model.release import StepState
from havre.planning.draft import Draft
from havre.planning.facts import Slots, ordered
from havre.planning.retiring import GRACE

Place = tuple[str, int]
"""A service and a slot."""

UNDONE = "the release is undone"
BROUGHT_BACK = "until the old one serves again"

BEGUN = frozenset({StepState.STARTED, StepState.DONE, StepState.FAILED, StepState.SKIPPED})


def plan_undo(
    plan: Plan, states: Mapping[int, StepState], observed: Observed, *, before: Project | None = None
) -> Plan:
    """The plan that takes back what of `plan` was begun; `before` is the project that served until then."""
    if is_past_return(plan, states):
        return _rest(plan, states)
    begun = [step for step in plan.steps if states.get(step.number, StepState.PENDING) in BEGUN]
    failed = {_place(step.step) for step in begun if states[step.number] is StepState.FAILED}
    new = {_place(step.step) for step in plan.steps if isinstance(step.step, StartReplica)}
    stops = {_place(step.step) for step in begun if isinstance(step.step, StopReplica)}
    switches = [step for step in begun if isinstance(step.step, Switch)]
    limits = [step.step.limit for step in begun if isinstance(step.step, Hold)]
    undo = Undo(
        observed=observed,
        new=_present(observed, new),
        stopped=_stopped(observed, stops - new),
        failed=failed,
        back=_back(plan) if switches or limits else None,
        is_moved=any(step.phase is Phase.SWITCH for step in switches),
        hold_limit=max(limits, default=15.0),
        callers={hold.service: hold.callers for hold in (step.step for step in begun) if _holds_callers(hold)},
        networks=tuple(step.step.network.name for step in begun if isinstance(step.step, CreateNetwork)),
        is_migrated=any(
            step.phase is Phase.MIGRATE and isinstance(step.step, RunTask | UndoMigration) for step in begun
        ),
        restarted=_present(observed, (_place(step.step) for step in begun if isinstance(step.step, RestartReplica))),
        services=_services(plan, before),
    )
    return undo.plan()


def is_past_return(plan: Plan, states: Mapping[int, StepState]) -> bool:
    """True once anything old is being let go: that begins only when the release has been proven and verified."""
    return any(step.phase is Phase.RETIRE and states.get(step.number) in BEGUN for step in plan.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """What there is to take back, whether known from the plan or from what is left after a crash."""

    observed: Observed
    new: tuple[ObservedReplica, ...]
    stopped: tuple[ObservedReplica, ...]
    failed: set[Place]
    back: Slots | None
    """Where the edge led before; None when it was not touched."""
    is_moved: bool
    """Traffic may have moved to the new replicas."""
    hold_limit: float = 15.0
    callers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The services whose requests wait while one is away, as the release had it."""
    networks: tuple[str, ...] = ()
    is_migrated: bool = False
    restarted: tuple[ObservedReplica, ...] = ()
    """Old replicas that had been stopped before, and were only started again."""
    services: Mapping[str, Service] = field(default_factory=dict)

    def plan(self) -> Plan:
        """Stop-first services first get their old replicas back, then traffic goes back, then the new ones go."""
        draft = Draft(self.observed.instance)
        returned = {replica.service for replica in self.stopped}
        proven: list[int] = []
        for service in sorted(returned):
            proven += self._bring_back(draft, service)
        if self.back is not None:
            step = Switch(to=ordered(self.back))
            proven = [draft.add(step, "where it led before the release", phase=Phase.SWITCH, after=proven)]
        gone = list(proven)
        for replica in self.new:
            gone += self._let_go(draft, replica, proven, is_stopped=replica.service in returned)
        for replica in self.restarted:
            if _is_alive(replica):
                gone.append(self._stop_new(draft, replica, proven, phase=Phase.SWITCH, is_led=self.is_moved))
        for name in sorted(set(self.networks)):
            if self.observed.network(name) is not None:
                reason = "this release made it"
                draft.add(RemoveNetwork(name=name), reason, phase=Phase.SWITCH, after=gone)
        if self.is_migrated:
            draft.note("the migration was begun: the database keeps what it changed")
        return draft.plan()

    def _bring_back(self, draft: Draft, service: str) -> list[int]:
        """The new replica and the old one never run at once; while neither does, requests are held.

        They may be held still, or led to the new replica already: holding what is held is no error.
        """
        new = [replica for replica in self.new if replica.service == service and _is_alive(replica)]
        ahead: list[int] = []
        if service in dict(self.back or ()):
            hold = Hold(service=service, limit=self.hold_limit)
            held = draft.add(hold, BROUGHT_BACK, phase=Phase.START)
            ahead = [self._drain(draft, replica, [held], phase=Phase.START) for replica in new] or [held]
        if found := self.callers.get(service, ()):
            hold = Hold(service=service, callers=found, limit=self.hold_limit)
            ahead = [draft.add(hold, BROUGHT_BACK, phase=Phase.START, after=ahead)]
        stopped = [self._stop_new(draft, replica, ahead, phase=Phase.START, is_led=False) for replica in new] or ahead
        return [self._start_again(draft, replica, stopped) for replica in self.stopped if replica.service == service]

    def _drain(self, draft: Draft, replica: ObservedReplica, after: Sequence[int], *, phase: Phase) -> int:
        drain = Drain(service=replica.service, slot=replica.slot, limit=self._grace(replica.service))
        return draft.add(drain, UNDONE, phase=phase, after=after)

    def _stop_new(self, draft: Draft, replica: ObservedReplica, after: list[int], *, phase: Phase, is_led: bool) -> int:
        if is_led:
            after = [self._drain(draft, replica, after, phase=phase)]
        stop = StopReplica(service=replica.service, slot=replica.slot, grace=self._grace(replica.service))
        return draft.add(stop, UNDONE, phase=phase, after=after)

    def _start_again(self, draft: Draft, replica: ObservedReplica, after: list[int]) -> int:
        step = RestartReplica(service=replica.service, slot=replica.slot)
        number = draft.add(step, "it served before the release", phase=Phase.START, after=after)
        service = self.services.get(replica.service)
        if service is None:
            return number
        proof = AwaitHealthy(service=service, slot=replica.slot)
        return draft.add(proof, "no traffic before", phase=Phase.START, after=[number])

    def _let_go(self, draft: Draft, replica: ObservedReplica, after: list[int], *, is_stopped: bool) -> list[int]:
        """Stop a new replica; it is removed only when traffic never came to it and it did not fail."""
        service, slot = replica.service, replica.slot
        waits = list(after)
        if _is_alive(replica) and not is_stopped:
            is_led = self.is_moved and self.back is not None
            waits = [self._stop_new(draft, replica, waits, phase=Phase.SWITCH, is_led=is_led)]
        if self.is_moved or (service, slot) in self.failed or _has_failed(replica):
            draft.note(f"{service}.{slot} is kept for inspection: `havre logs --failed {service}`")
            return waits
        return [draft.add(RemoveReplica(service=service, slot=slot), UNDONE, phase=Phase.SWITCH, after=waits)]

    def _grace(self, service: str) -> float:
        known = self.services.get(service)
        return known.stop_grace if known else GRACE


def _rest(plan: Plan, states: Mapping[int, StepState]) -> Plan:
    draft = Draft(plan.instance)
    numbers: dict[int, int] = {}
    for step in plan.steps:
        if states.get(step.number) is StepState.DONE:
            continue
        after = [numbers[number] for number in step.after if number in numbers]
        numbers[step.number] = draft.add(step.step, step.reason, phase=step.phase, after=after)
    draft.note("the release is verified and serves: what is left is finished, not undone")
    return draft.plan()


def _place(step: object) -> Place:
    match step:
        case StartReplica(service=service, slot=slot) | AwaitHealthy(service=service, slot=slot):
            return (service.name, slot)
        case StopReplica(service=name, slot=slot) | RestartReplica(service=name, slot=slot):
            return (name, slot)
        case _:
            return ("", 0)


def _present(observed: Observed, places: Iterable[Place]) -> tuple[ObservedReplica, ...]:
    wanted = set(places)
    found = [r for r in observed.replicas if r.role == "replica" and (r.service, r.slot) in wanted]
    return tuple(sorted(found, key=lambda r: (r.service, r.slot)))


def _stopped(observed: Observed, places: Iterable[Place]) -> tuple[ObservedReplica, ...]:
    return tuple(replica for replica in _present(observed, places) if not replica.is_running)


def _holds_callers(step: object) -> TypeGuard[Hold]:
    return isinstance(step, Hold) and bool(step.callers)


def _back(plan: Plan) -> Slots:
    return next((step.step.back for step in plan.steps if isinstance(step.step, Resume | Switch)), ())


def _services(plan: Plan, before: Project | None) -> dict[str, Service]:
    """Services as they were before where that is known, else as the release wanted them."""
    found = {s.step.service.name: s.step.service for s in plan.steps if isinstance(s.step, StartReplica)}
    return found | {service.name: service for service in (before.services if before else ())}


def _is_alive(replica: ObservedReplica) -> bool:
    return replica.state in (ReplicaState.RUNNING, ReplicaState.RESTARTING, ReplicaState.PAUSED)


def _has_failed(replica: ObservedReplica) -> bool:
    return replica.state in (ReplicaState.EXITED, ReplicaState.RESTARTING)
