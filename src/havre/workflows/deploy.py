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
from havre.model.plan import Phase, Plan, PullImage
from havre.model.release import Release, ReleaseState
from havre.model.route import AppEdge
from havre.planning import EdgeFacts, plan_rollout, plan_undo
from havre.store.instances import KnownInstance
from havre.workflows.execute import Cancellation, Outcome, Witness, execute
from havre.workflows.intent import Intent
from havre.workflows.journal import Journal
from havre.workflows.perform import Performer, TakeSnapshot, Work, no_snapshot
from havre.workflows.record import pinned_images, seal_configuration, source_commit
from havre.workflows.routing import app_edge, inside_ports, plan_inside, published
from havre.workflows.server import Server, slots_by_service


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user chose for this one time."""

    kind: str = "deploy"
    force: tuple[str, ...] = ()
    pull: bool = False
    remove_orphans: bool = True
    scale: Mapping[str, int] = field(default_factory=dict)
    rolled_back_to: int | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    """Service -> image id, where a rollback pins what a release ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A plan and everything it was made from."""

    intent: Intent
    choices: Choices
    plan: Plan
    serving: Release | None
    ports: Mapping[str, tuple[int, ...]]
    warnings: tuple[Problem, ...] = ()


Check = Callable[[Server, Intent, Observed], Sequence[Problem]]


def propose(server: Server, intent: Intent, choices: Choices | None = None, *, check: Check | None = None) -> Proposal:
    """What a deploy would do now.

    Raises RefusedError with every problem that the checks call an error; nothing is touched.
    """
    choices = choices or Choices()
    if choices.pull:
        _pull_all(server, intent)
    observed = _observe(server, intent)
    warnings = [*intent.loaded.warnings, *(check(server, intent, observed) if check else ())]
    if errors := [problem for problem in warnings if problem.severity is Severity.ERROR]:
        raise RefusedError(errors)
    ports = _inside_ports(intent, observed)
    return Proposal(
        intent=intent,
        choices=choices,
        plan=_plan(server, intent, choices, observed, ports),
        serving=server.state.releases.serving(intent.app.instance),
        ports=ports,
        warnings=tuple(warnings),
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
        _refuse_if_moved(server, proposal)
        return _release(server, proposal, witnesses, progress, snapshot)


def _release(
    server: Server,
    proposal: Proposal,
    witnesses: Sequence[Witness],
    progress: Callable[[str], None],
    snapshot: TakeSnapshot,
) -> Release:
    intent, instance = proposal.intent, proposal.intent.app.instance
    before = server.traffic.read(instance)
    release = _open(server, proposal, slots_by_service(before))
    journal = Journal(server.state.releases, instance, release.number, others=witnesses)
    journal.begin(proposal.plan)
    cancellation = Cancellation()
    performer = Performer(
        server=server,
        work=Work(
            app=intent.app,
            project=intent.project,
            number=release.number,
            ports=proposal.ports,
            before=before,
            snapshot=snapshot,
            progress=progress,
        ),
        cancellation=cancellation,
    )
    outcome = execute(proposal.plan, performer, journal, cancellation)
    if outcome.succeeded:
        return _close(server, proposal, release, journal)
    undone = _undo(server, proposal, performer, outcome, journal)
    _record_failure(server, release, journal, outcome, undone)
    raise _failure(instance, release, outcome, undone)


def _plan(
    server: Server, intent: Intent, choices: Choices, observed: Observed, ports: Mapping[str, tuple[int, ...]]
) -> Plan:
    return plan_rollout(
        intent.project,
        observed,
        app=intent.app,
        edge=edge_facts(server, intent, observed, ports),
        files=intent.files,
        force=choices.force,
        scale=choices.scale,
        remove_orphans=choices.remove_orphans,
    )


def edge_facts(server: Server, intent: Intent, observed: Observed, ports: Mapping[str, tuple[int, ...]]) -> EdgeFacts:
    """What planning must know of the edge: whom it will lead to, and where it leads now."""
    app, project = intent.app, intent.project
    applied = server.traffic.read(app.instance)
    context = Context(instance=app.instance, release=0, project=project)
    inside = plan_inside(
        project,
        app,
        ports,
        lambda service, caller: server.engine.meeting_point(service, caller, context, observed),
    )
    wanted = app_edge(app, project, inside, {})
    return EdgeFacts(
        routed=frozenset(route.service for route in app.routes if route.redirect_to is None),
        published=frozenset(port.service for port in published(project)),
        inside=frozenset(ports),
        now=tuple(sorted(slots_by_service(applied).items())),
        routes_changed=_apart_from_replicas(applied) != _apart_from_replicas(wanted),
        hold_limit=app.hold_limit,
    )


def _apart_from_replicas(edge: AppEdge | None) -> AppEdge | None:
    if edge is None or not (edge.routes or edge.tcp_ports or edge.inside):
        return None
    return replace(edge, upstreams=())


def _observe(server: Server, intent: Intent) -> Observed:
    references = sorted({service.image for service in intent.project.services})
    return server.engine.observe(intent.app.instance, references=references)


def _inside_ports(intent: Intent, observed: Observed) -> dict[str, tuple[int, ...]]:
    exposed = {}
    for service in intent.project.services:
        image = observed.image(service.image)
        exposed[service.name] = image.exposed if image else ()
    return inside_ports(intent.project, intent.app, exposed)


def _refuse_if_moved(server: Server, proposal: Proposal) -> None:
    """The plan the user saw is the plan that is carried out, or none."""
    observed = _observe(server, proposal.intent)
    again = _plan(server, proposal.intent, proposal.choices, observed, _inside_ports(proposal.intent, observed))
    if str(again) != str(proposal.plan):
        raise RefusedError(_moved(proposal.intent.app.instance))


def _open(server: Server, proposal: Proposal, targets: Mapping[str, tuple[int, ...]]) -> Release:
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
    return server.state.releases.open(release, sealed=sealed, targets_before=dict(targets))


def _close(server: Server, proposal: Proposal, release: Release, journal: Journal) -> Release:
    intent = proposal.intent
    done = replace(
        release,
        state=ReleaseState.SERVING,
        ended_at=clock.now(),
        images=pinned_images(intent.project, _observe(server, intent)),
        phases=journal.phases,
        result="every step done",
    )
    server.state.releases.close(done)
    recent = server.state.releases.list(intent.app.instance, limit=200)
    returnable = [r.number for r in recent if r.state in (ReleaseState.SERVING, ReleaseState.SUPERSEDED)]
    server.state.releases.forget_sealed(intent.app.instance, returnable[: intent.app.keep_releases + 1])
    return done


def _undo(server: Server, proposal: Proposal, performer: Performer, outcome: Outcome, journal: Journal) -> Outcome:
    """Take back what was done; a step of the undoing that fails is reported beside the first failure."""
    observed = server.engine.observe(proposal.intent.app.instance)
    before = tuple(sorted(slots_by_service(performer.work.before).items()))
    undo = plan_undo(proposal.plan, outcome.states, observed, before=before)
    cancellation = Cancellation()
    undoing = Performer(server=server, work=performer.work, cancellation=cancellation)
    recorded = Journal(
        server.state.releases,
        proposal.intent.app.instance,
        performer.work.number,
        offset=len(proposal.plan.steps),
        others=journal.others,
    )
    recorded.begin(undo)
    return execute(undo, undoing, recorded, cancellation)


def _record_failure(server: Server, release: Release, journal: Journal, outcome: Outcome, undone: Outcome) -> None:
    problem = outcome.error.problems[0].summary if outcome.error else "interrupted"
    server.state.releases.close(
        replace(
            release,
            state=ReleaseState.INTERRUPTED if outcome.interrupted else ReleaseState.FAILED,
            ended_at=clock.now(),
            phases=journal.phases,
            result=problem + ("" if undone.succeeded else "; undoing it failed too"),
        )
    )


def _failure(instance: str, release: Release, outcome: Outcome, undone: Outcome) -> BaseException:
    if outcome.interrupted and undone.succeeded:
        return KeyboardInterrupt()
    problems = list(outcome.error.problems) if outcome.error else []
    if not undone.succeeded:
        problems += list(undone.error.problems) if undone.error else []
        problems.append(_half_undone(instance, release))
    problems.append(_outcome_note(instance, release, outcome, undone))
    return FailedError(problems)


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
