"""What becomes of a release whose process died: finished when its traffic had moved, undone otherwise (I3)."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from havre.model.app import App
from havre.model.observed import Observed, ObservedReplica
from havre.model.plan import CreateNetwork, Phase, Plan, RestartReplica, StopReplica, Verify
from havre.model.project import Network, Project
from havre.model.release import JournalEntry, StepState
from havre.planning.callers import Callers
from havre.planning.draft import Draft
from havre.planning.facts import EdgeFacts, Slots
from havre.planning.removal import plan_stop
from havre.planning.rollout import FileDigests, plan_rollout
from havre.planning.undo import BEGUN, Undo


class Recovery(enum.Enum):
    """The two ways out of an interrupted release; both leave one whole release serving."""

    UNDO = "undo"
    FINISH = "finish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """What is known of the release whose process died; `targets_before` is where the edge led when it began.

    `kind` is the release's own: after a `stop` nothing is started that it stopped, after a `start` that was cut
    short what it started is stopped again.
    """

    release: int
    entries: tuple[JournalEntry, ...]
    targets_before: Slots = ()
    kind: str = "deploy"
    met: frozenset[str] = frozenset()
    """The services whose callers inside the app came through the edge when it began."""
    hold_limit: float = 15.0


def decide(entries: Sequence[JournalEntry]) -> Recovery:
    """Finish once anything old was being let go, or once everything up to the switch is done; undo otherwise.

    A step that failed, or that Ctrl-C cut short, was being undone already.
    """
    states = [(Phase(entry.phase), entry.state) for entry in entries]
    if any(state in (StepState.FAILED, StepState.SKIPPED) for phase, state in states if phase < Phase.RETIRE):
        return Recovery.UNDO
    if any(state in BEGUN for phase, state in states if phase is Phase.RETIRE):
        return Recovery.FINISH
    until_switch = [state for phase, state in states if phase <= Phase.SWITCH]
    is_moved = bool(until_switch) and all(state is StepState.DONE for state in until_switch)
    return Recovery.FINISH if is_moved else Recovery.UNDO


def plan_finish(
    interrupted: Interrupted,
    project: Project,
    observed: Observed,
    *,
    app: App | None,
    edge: EdgeFacts,
    files: FileDigests,
) -> Plan:
    """Verify if that was not done yet, then let go of what the release replaces.

    The plan is made anew from what is there: what the release had already done needs no step.
    """
    without_migration = replace(app, migration=None) if app else None
    known = replace(edge, leaving=interrupted.targets_before)
    if interrupted.kind == "stop":
        return plan_stop(observed, project, known, _to_stop(interrupted, observed))
    rest = plan_rollout(project, observed, app=without_migration, edge=known, files=files)
    verified = any(e.phase == Phase.VERIFY and e.state is StepState.DONE for e in interrupted.entries)
    has_verify = any(isinstance(step.step, Verify) for step in rest.steps)
    if verified or has_verify or app is None or not app.verifications or not edge.routed:
        return rest
    return _verified_first(rest, len(app.verifications))


def plan_undo_interrupted(interrupted: Interrupted, observed: Observed, *, before: Project | None = None) -> Plan:
    """Take back what the release began; `before` is the project that served until then, None for a first release."""
    begun = [entry for entry in interrupted.entries if entry.state in BEGUN]
    texts = {entry.text for entry in begun}
    edge_touched = any(entry.kind in ("Hold", "Resume", "Switch") for entry in begun)
    stopped = _sorted(r for r in observed.replicas if _was_stopped(r, interrupted.release, texts))
    undo = Undo(
        observed=observed,
        new=_sorted(r for r in observed.replicas if _is_new(r, interrupted.release)),
        stopped=stopped,
        failed=set(),
        back=interrupted.targets_before if edge_touched else None,
        is_moved=any(entry.kind == "Switch" and entry.phase == Phase.SWITCH for entry in begun),
        networks=tuple(n.name for n in observed.networks if n.instance and _creation(n.name) in texts),
        restarted=_sorted(
            r for r in observed.replicas if interrupted.kind == "start" and _text(r, RestartReplica) in texts
        ),
        is_migrated=any(entry.phase == Phase.MIGRATE for entry in begun),
        services={service.name: service for service in (before.services if before else ())},
        hold_limit=interrupted.hold_limit,
        callers=_callers(interrupted, stopped, before) if edge_touched else {},
    )
    return undo.plan()


def _callers(
    interrupted: Interrupted, stopped: Sequence[ObservedReplica], before: Project | None
) -> Mapping[str, tuple[str, ...]]:
    """Who has to wait while what was stopped is started again."""
    if before is None:
        return {}
    led = [service for service, slots in interrupted.targets_before if slots]
    names = {replica.service for replica in stopped}
    who = Callers(before)
    return {name: who.of(name, led=led, met=interrupted.met) for name in sorted(names)}


def _verified_first(plan: Plan, checks: int) -> Plan:
    draft = Draft(plan.instance)
    proof = draft.add(Verify(checks=checks), "the release was cut short before it", phase=Phase.VERIFY)
    for step in plan.steps:
        after = [number + 1 for number in step.after] or ([proof] if step.phase is Phase.RETIRE else [])
        draft.add(step.step, step.reason, phase=step.phase, after=after)
    for note in plan.notes:
        draft.note(note)
    return draft.plan()


def _is_new(replica: ObservedReplica, release: int) -> bool:
    """True for what the release started; a migration or job cut short may still be running."""
    return replica.release == release and (replica.role == "replica" or replica.is_running)


def _was_stopped(replica: ObservedReplica, release: int, texts: set[str]) -> bool:
    """True for an older replica that the journal says this release stopped.

    It may run again already, when recovering was itself cut short: it must be proven all the same.
    """
    if replica.role != "replica" or replica.release == release:
        return False
    return _text(replica, StopReplica) in texts


def _to_stop(interrupted: Interrupted, observed: Observed) -> set[str]:
    """The services that the journal says the release meant to stop."""
    texts = {entry.text for entry in interrupted.entries}
    return {replica.service for replica in observed.replicas if _text(replica, StopReplica) in texts}


def _text(replica: ObservedReplica, kind: type[StopReplica | RestartReplica]) -> str:
    """What the journal calls such a step for this replica."""
    return str(kind(service=replica.service, slot=replica.slot))


def _creation(name: str) -> str:
    return str(CreateNetwork(network=Network(key=name, name=name)))


def _sorted(replicas: Iterable[ObservedReplica]) -> tuple[ObservedReplica, ...]:
    return tuple(sorted(replicas, key=lambda replica: (replica.service, replica.slot)))
