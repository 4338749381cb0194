"""Finish or undo a release whose process died, from its journal and from what is really there (I3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from havre.errors import FailedError, Problem
from havre.host import clock
from havre.host.locks import exclusive
from havre.model.plan import Plan
from havre.model.release import JournalEntry, Release, ReleaseState
from havre.planning.recover import Interrupted, Recovery, decide, plan_finish, plan_undo_interrupted
from havre.workflows import release_work
from havre.workflows.execute import Cancellation, Outcome, Witness, execute
from havre.workflows.intent import Intent
from havre.workflows.journal import Journal
from havre.workflows.perform import Performer, Work, no_snapshot
from havre.workflows.record import Recorded, serving_configuration, unseal_configuration
from havre.workflows.server import Server, called_through, slots_by_service


def recover(server: Server, instance: str, *, witnesses: Sequence[Witness] = (), wait: float = 0.0) -> Release | None:
    """Settle an interrupted release of `instance`; None when there is none.

    Raises BusyError when a living process is at work on it, FailedError when settling it failed.
    """
    lock = server.state.lock(instance)
    if server.state.releases.unfinished(instance) is None:
        return None
    with exclusive(lock, what=f"the instance {instance}", doing="recover", wait=wait):
        return recover_held(server, instance, witnesses=witnesses)


def recover_held(server: Server, instance: str, *, witnesses: Sequence[Witness] = ()) -> Release | None:
    """The same, for a caller that holds the instance's lock."""
    release = server.state.releases.unfinished(instance)
    if release is None:
        return None
    journal = server.state.releases.journal(instance, release.number)
    before = server.state.releases.edge_before(instance, release.number)
    recorded = unseal_configuration(server, instance, release.number)
    intent = Intent(app=recorded.app, project=recorded.project, files=recorded.files)
    observed = release_work.look(server, intent)
    work = Work(
        app=recorded.app,
        project=recorded.project,
        number=release.number,
        ports=release_work.ports_inside(intent, observed, before),
        before=before,
        snapshot=no_snapshot,
        progress=lambda _: None,
    )
    interrupted = Interrupted(
        release=release.number,
        entries=journal,
        targets_before=tuple(sorted(slots_by_service(before).items())),
        kind=release.kind,
        met=called_through(before),
        hold_limit=recorded.app.hold_limit,
    )
    if decide(journal) is Recovery.FINISH:
        facts = release_work.edge_facts(server, intent, observed, work.ports)
        plan = plan_finish(interrupted, intent.project, observed, app=intent.app, edge=facts, files=intent.files)
        work = replace(work, before=server.traffic.read(instance))  # it has moved: what is left goes on from there
        return _finish(server, intent, release, work, plan, journal, witnesses)
    served = serving_configuration(server, instance)
    undo = plan_undo_interrupted(interrupted, observed, before=served.project if served else None)
    return _undo(server, release, work, served, undo, journal, witnesses)


def _finish(
    server: Server,
    intent: Intent,
    release: Release,
    work: Work,
    plan: Plan,
    entries: Sequence[JournalEntry],
    witnesses: Sequence[Witness],
) -> Release:
    cancellation = Cancellation()
    journal = Journal(server.state.releases, work.app.instance, release.number, offset=_next(entries), others=witnesses)
    journal.begin(plan)
    outcome = execute(plan, Performer(server=server, work=work, cancellation=cancellation), journal, cancellation)
    if not outcome.succeeded:
        raise _still_unsettled(release, outcome, "finished")
    return release_work.close_serving(server, intent, release, release.phases)


def _undo(
    server: Server,
    release: Release,
    work: Work,
    served: Recorded | None,
    undo: Plan,
    entries: Sequence[JournalEntry],
    witnesses: Sequence[Witness],
) -> Release:
    outcome = release_work.carry_back(server, work, served, undo, offset=_next(entries), others=witnesses)
    if not outcome.succeeded:
        raise _still_unsettled(release, outcome, "undone")
    settled = replace(
        release,
        state=ReleaseState.INTERRUPTED,
        ended_at=clock.now(),
        result="its process was killed; what it had begun was undone",
    )
    server.state.releases.close(settled)
    return settled


def _next(entries: Sequence[JournalEntry]) -> int:
    return max((entry.number for entry in entries), default=0)


def _still_unsettled(release: Release, outcome: Outcome, what: str) -> FailedError:
    problems = list(outcome.error.problems) if outcome.error else []
    problems.append(
        Problem(
            summary=f"release {release.number}, whose process was killed, could not be {what} yet",
            subject=release.instance,
            hint="remove the cause above, then run `havre recover` again: it goes on from the journal",
            code="recover-failed",
        )
    )
    return FailedError(problems)
