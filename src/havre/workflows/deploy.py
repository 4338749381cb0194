"""Deploy: propose a plan from one look at the server, then carry it out so that it can be taken back.

propose   look once, check, plan                           nothing is touched
apply     lock, look again, open a release, do the steps, record; undo when a step fails
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from havre.engines.base import Context
from havre.errors import FailedError, Problem, RefusedError, Severity
from havre.host import clock
from havre.host.locks import exclusive
from havre.model.observed import Observed
from havre.model.plan import Phase, Plan, PullImage, StopReplica
from havre.model.release import Release, ReleaseState, StepState
from havre.model.route import AppEdge
from havre.model.units import show_seconds
from havre.planning.facts import EdgeFacts
from havre.planning.rollout import plan_rollout
from havre.planning.undo import is_past_return, plan_undo
from havre.store.instances import KnownInstance
from havre.workflows.check import WAIVED
from havre.workflows.configurations import can_be_asked
from havre.workflows.disk import tidy
from havre.workflows.execute import Cancellation, Outcome, Witness, execute
from havre.workflows.intent import Intent
from havre.workflows.journal import Journal
from havre.workflows.perform import Performer, TakeSnapshot, Work, no_snapshot
from havre.workflows.record import seal_configuration, serving_configuration, source_commit
from havre.workflows.recover import recover_held
from havre.workflows.release_phase import with_release_phase
from havre.workflows.release_work import carry_back, close_serving, edge_facts, look, note, ports_inside
from havre.workflows.server import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user chose for this one time."""

    kind: str = "deploy"
    force: tuple[str, ...] = ()
    pull: bool = False
    remove_orphans: bool = True
    scale: Mapping[str, int] = field(default_factory=dict)
    rolled_back_to: int | None = None
    promoted_from: str | None = None


Planner = Callable[[Observed, EdgeFacts], Plan]
"""From what is observed to a plan: a rollout, a rollback, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A plan and everything it was made from."""

    intent: Intent
    choices: Choices
    plan: Plan
    planner: Planner
    serving: Release | None
    ports: Mapping[str, tuple[int, ...]]
    warnings: tuple[Problem, ...] = ()


Check = Callable[[Server, Intent, Observed], Sequence[Problem]]


def propose(
    server: Server,
    intent: Intent,
    choices: Choices | None = None,
    *,
    check: Check | None = None,
    planner: Callable[[Choices], Planner] | None = None,
) -> Proposal:
    """What a deploy would do now; `planner` plans another way than a rollout of exactly this intent.

    Raises RefusedError with every problem that the checks call an error; nothing is touched.
    """
    choices = choices or Choices()
    choices = replace(choices, scale={**server.state.instances.scales(intent.app.instance), **choices.scale})
    if server.engine.name == "process" and choices.kind == "deploy":
        intent = with_release_phase(intent)
    if choices.pull:
        _pull_all(server, intent)
    observed = look(server, intent)
    warnings = [*intent.warnings, *(check(server, intent, observed) if check else ())]
    if errors := [problem for problem in warnings if problem.severity is Severity.ERROR]:
        raise RefusedError(errors)
    plan = planner(choices) if planner else _rollout(server, intent, choices)
    return proposal_of(server, intent, choices, plan, observed, tuple(warnings))


def proposal_of(
    server: Server,
    intent: Intent,
    choices: Choices,
    planner: Planner,
    observed: Observed,
    warnings: tuple[Problem, ...] = (),
) -> Proposal:
    """A proposal made by any planner, from one snapshot."""
    ports = ports_inside(intent, observed, server.traffic.read(intent.app.instance))
    return Proposal(
        intent=intent,
        choices=choices,
        plan=planner(observed, edge_facts(server, intent, observed, ports)),
        planner=planner,
        serving=server.state.releases.serving(intent.app.instance),
        ports=ports,
        warnings=warnings,
    )


def apply(
    server: Server,
    proposal: Proposal,
    *,
    wait: float = 0.0,
    witnesses: Sequence[Witness] = (),
    progress: Callable[[str], None] = lambda _: None,
    snapshot: TakeSnapshot = no_snapshot,
) -> Release:
    """Carry out a proposal and return the release that serves.

    Raises BusyError when another command holds the instance, RefusedError when the server moved since the
    plan, and FailedError when a step failed; then what served before still serves, and the record says so.
    """
    instance = proposal.intent.app.instance
    lock = server.state.lock(instance)
    with exclusive(lock, what=f"the instance {instance}", doing=proposal.choices.kind, wait=wait):
        recover_held(server, instance, witnesses=witnesses)
        _refuse_if_moved(server, proposal)
        release = _release(server, proposal, witnesses, progress, snapshot)
        tidy(server, instance)
        return release


def _release(
    server: Server,
    proposal: Proposal,
    witnesses: Sequence[Witness],
    progress: Callable[[str], None],
    snapshot: TakeSnapshot,
) -> Release:
    intent, instance = proposal.intent, proposal.intent.app.instance
    before = server.traffic.read(instance)
    release = _open(server, proposal, before)
    journal = Journal(server.state.releases, instance, release.number, others=witnesses)
    journal.begin(proposal.plan)
    work = Work(
        app=intent.app,
        project=intent.project,
        number=release.number,
        ports=proposal.ports,
        before=before,
        snapshot=snapshot,
        progress=progress,
    )
    cancellation = Cancellation()
    performer = Performer(server=server, work=work, cancellation=cancellation)
    outcome = execute(proposal.plan, performer, journal, cancellation)
    if outcome.succeeded:
        return close_serving(server, intent, release, journal.phases, head=performer.schema_head)
    undone = _undo(server, proposal, work, outcome, journal)
    if undone.succeeded and is_past_return(proposal.plan, outcome.states):
        # It had been verified and served: the second attempt at letting go of the old replicas succeeded.
        return close_serving(server, intent, release, journal.phases, head=performer.schema_head)
    _record_failure(server, release, journal, outcome, undone)
    raise _failure(proposal, release, outcome, undone)


def _rollout(server: Server, intent: Intent, choices: Choices) -> Planner:
    trials = can_be_asked(server, intent.project)
    return lambda observed, edge: plan_rollout(
        intent.project,
        observed,
        app=intent.app,
        edge=edge,
        files=intent.files,
        force=choices.force,
        scale=choices.scale,
        remove_orphans=choices.remove_orphans,
        trials=trials,
    )


def _refuse_if_moved(server: Server, proposal: Proposal) -> None:
    """The plan the user saw is the plan that is carried out, or none."""
    intent = proposal.intent
    observed = look(server, intent)
    ports = ports_inside(intent, observed, server.traffic.read(intent.app.instance))
    again = proposal.planner(observed, edge_facts(server, intent, observed, ports))
    if str(again) != str(proposal.plan):
        raise RefusedError(_moved(intent.app.instance))


def _open(server: Server, proposal: Proposal, before: AppEdge | None) -> Release:
    intent = proposal.intent
    commit, dirty = source_commit(intent.app.directory)
    release = Release(
        instance=intent.app.instance,
        number=0,
        state=ReleaseState.RUNNING,
        kind=proposal.choices.kind,
        started_at=clock.now(),
        by=server.who,
        commit=commit,
        dirty=dirty,
        plan=str(proposal.plan),
        rolled_back_to=proposal.choices.rolled_back_to,
        promoted_from=proposal.choices.promoted_from,
        waivers=tuple(f"{note.subject}: {note.summary}" for note in proposal.warnings if note.code == WAIVED),
    )
    sealed = seal_configuration(server, intent.app, intent.project, dict(intent.files))
    server.state.instances.remember(
        KnownInstance(
            instance=intent.app.instance,
            app=intent.app.name,
            environment=intent.app.environment,
            engine=server.engine.name,
            directory=intent.app.directory,
            created_at=release.started_at,
        )
    )
    return server.state.releases.open(release, sealed=sealed, edge_before=before)


def _undo(server: Server, proposal: Proposal, work: Work, outcome: Outcome, journal: Journal) -> Outcome:
    """Take back what was done; a step of the undoing that fails is reported beside the first failure."""
    instance = proposal.intent.app.instance
    served = serving_configuration(server, instance)
    undo = plan_undo(
        proposal.plan, outcome.states, server.engine.observe(instance), before=served.project if served else None
    )
    return carry_back(server, work, served, undo, offset=len(proposal.plan.steps), others=journal.others)


def _record_failure(server: Server, release: Release, journal: Journal, outcome: Outcome, undone: Outcome) -> None:
    """Close the record; a release that could not be undone stays open, so that `recover` finds it."""
    state = ReleaseState.INTERRUPTED if outcome.interrupted else ReleaseState.FAILED
    what = f"{release.kind}, release {release.number}"
    if not undone.succeeded:
        note(server, release.instance, what, "failed, not undone yet")
        return
    note(server, release.instance, what, state.value)
    server.state.releases.close(
        replace(
            release,
            state=state,
            ended_at=clock.now(),
            phases=journal.phases,
            result=outcome.error.problems[0].summary if outcome.error else "interrupted",
        )
    )


def _failure(proposal: Proposal, release: Release, outcome: Outcome, undone: Outcome) -> BaseException:
    instance = proposal.intent.app.instance
    if outcome.interrupted and undone.succeeded:
        return KeyboardInterrupt()
    problems = list(outcome.error.problems) if outcome.error else []
    if not undone.succeeded:
        problems += list(undone.error.problems) if undone.error else []
        problems.append(_half_undone(instance, release))
    problems.append(replace(_outcome_note(instance, release, outcome, undone), effect=_stood_still(proposal, outcome)))
    return FailedError(problems)


def _stood_still(proposal: Proposal, outcome: Outcome) -> str:
    """Whose old replicas were stopped first, and so did not serve all the time."""
    stopped = [
        planned.step.service
        for planned in proposal.plan.steps
        if isinstance(planned.step, StopReplica)
        and planned.phase < Phase.SWITCH
        and outcome.states.get(planned.number) is StepState.DONE
    ]
    names = ", ".join(dict.fromkeys(stopped))
    limit = show_seconds(proposal.intent.app.hold_limit)
    return f"{names} stood still meanwhile: requests waited up to {limit}, then failed" if names else ""


def _outcome_note(instance: str, release: Release, outcome: Outcome, undone: Outcome) -> Problem:
    step = f" at step {outcome.failed.number} ({outcome.failed.step})" if outcome.failed else ""
    after = outcome.failed is not None and outcome.failed.phase > Phase.SWITCH
    moved = "the routes went back to" if after else "no traffic moved from"
    return Problem(
        summary=f"release {release.number} failed{step}; {moved} what was serving before",
        subject=instance,
        hint="correct the cause above and deploy again; `havre logs --failed` shows what the new replicas wrote",
        severity=Severity.NOTE if undone.succeeded else Severity.ERROR,
        code="release-failed",
    )


def _half_undone(instance: str, release: Release) -> Problem:
    return Problem(
        summary=f"undoing release {release.number} did not end",
        subject=instance,
        hint="run `havre recover` when the cause above is gone: it goes on from the journal",
        code="undo-failed",
    )


def _moved(instance: str) -> Problem:
    return Problem(
        summary="the server changed since this plan was made, so it was not carried out",
        subject=instance,
        effect="nothing was touched",
        hint="look at the new plan with `havre plan`, then deploy again",
        code="plan-outdated",
    )


def _pull_all(server: Server, intent: Intent) -> None:
    context = Context(instance=intent.app.instance, release=0, project=intent.project)
    for service in intent.project.services:
        if service.build is None:
            server.engine.perform(PullImage(reference=service.image, platform=service.platform), context)
