"""From what runs to what the project says, without a dropped request: the plan of a deployment.

Prepare, snapshot, migrate, start beside, prove; then one switch for the whole stack, verify, drain, stop, remove.
A job (a service that others wait to see completed) runs once per release: when no successful run of exactly it is on
record, or when a service that waits for it starts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from havre.model.app import App
from havre.model.observed import Observed, ObservedReplica
from havre.model.plan import Phase, Plan, Switch, UndoMigration, Verify
from havre.model.project import Project
from havre.planning.compare import Change, Snapshot, compare
from havre.planning.draft import Draft
from havre.planning.facts import EdgeFacts, Slots, ordered
from havre.planning.preparing import prepare
from havre.planning.reasons import counted
from havre.planning.retiring import Retiring
from havre.planning.starting import Starting

FileDigests = Mapping[str, tuple[tuple[str, str], ...]]
"""Per service: (target, sha256) of the configuration files and secrets mounted into it."""


def plan_rollout(
    project: Project,
    observed: Observed,
    *,
    app: App | None,
    edge: EdgeFacts,
    files: FileDigests,
    force: Collection[str] = (),
    scale: Mapping[str, int] | None = None,
    remove_orphans: bool = True,
    undo: UndoMigration | None = None,
    trials: Collection[str] = (),
) -> Plan:
    """The plan that makes `observed` match `project`; empty when it does.

    `undo` takes the schema back before anything starts.

    `force` names services whose replicas are replaced even when nothing changed; `scale` overrides how many
    replicas services have; without `remove_orphans`, services that the file does not have any more keep running.
    `trials` names services whose image can say whether it accepts the files mounted into it.
    """
    draft = Draft(observed.instance)
    snapshot = Snapshot.of(observed)
    forced = dict.fromkeys(force, "asked for")
    changes = compare(project, snapshot, files=files, force=forced, scale=scale or {})
    orphans = _orphans(project, observed)
    kept_orphans = () if remove_orphans else orphans

    prepared = prepare(draft, project, observed, snapshot, changes, trials)
    starting = Starting(draft, prepared, changes, edge, project=project, observed=observed, app=app, undo=undo)
    starting.run()
    proven = _switch(draft, starting, changes, edge, kept_orphans)
    proven = _verify(draft, app, edge, proven)

    retiring = Retiring(draft, edge, proven)
    removed = retiring.let_go(changes)
    leftovers = [replica for replica in snapshot.leftovers if replica.service in changes]
    removed += retiring.remove(leftovers, "kept from a failed run")
    if remove_orphans:
        removed += retiring.remove(orphans, "not in the Compose file any more")
        retiring.remove_networks(project, observed, removed)
    _note_the_rest(draft, project, observed, changes, kept_orphans)
    _note_direct_calls(draft, edge, changes)
    _note_the_migration(draft, app, changes)
    return draft.plan()


def targets(changes: Mapping[str, Change], edge: EdgeFacts) -> Slots:
    """Where the edge leads when the release is done."""
    return ordered(tuple((name, change.slots) for name, change in changes.items() if name in edge.services))


def _orphans(project: Project, observed: Observed) -> tuple[ObservedReplica, ...]:
    names = set(project.service_names)
    gone = [replica for replica in observed.replicas if replica.service not in names]
    return tuple(sorted(gone, key=lambda replica: (replica.service, -replica.slot, replica.role)))


def _switch(
    draft: Draft,
    starting: Starting,
    changes: Mapping[str, Change],
    edge: EdgeFacts,
    kept_orphans: tuple[ObservedReplica, ...],
) -> tuple[int, ...]:
    """Move all traffic in one step once everything new is proven; returns what retiring must wait for."""
    kept = {replica.service for replica in kept_orphans}
    wanted = ordered((*targets(changes, edge), *((s, slots) for s, slots in edge.now if s in kept)))
    if wanted == ordered(starting.leads_to) and not (starting.held or edge.routes_changed or edge.is_astray):
        return starting.proof
    step = Switch(to=wanted, back=ordered(edge.now))
    reason = _why_switch(changes, edge, wanted)
    return (draft.add(step, reason, phase=Phase.SWITCH, after=starting.proof),)


def _why_switch(changes: Mapping[str, Change], edge: EdgeFacts, wanted: Slots) -> str:
    new = sum(len(change.start) for name, change in changes.items() if not change.is_job)
    if new:
        return f"{counted(new, 'new replica')} proven"
    if edge.is_astray:
        return "replicas have other addresses now"
    if edge.routes_changed:
        return "the routes changed"
    if {service for service, _ in edge.now} - {service for service, _ in wanted}:
        return "services are removed"
    return (
        "fewer replicas serve" if any(change.leave for change in changes.values()) else "the edge does not lead there"
    )


def _verify(draft: Draft, app: App | None, edge: EdgeFacts, proven: tuple[int, ...]) -> tuple[int, ...]:
    if app is None or not app.verifications or not edge.routed or draft.is_empty or not proven:
        return proven
    step = Verify(checks=len(app.verifications))
    return (draft.add(step, "as a user reaches it; else all is undone", phase=Phase.VERIFY, after=proven),)


def _note_the_rest(
    draft: Draft,
    project: Project,
    observed: Observed,
    changes: Mapping[str, Change],
    kept_orphans: tuple[ObservedReplica, ...],
) -> None:
    for service in sorted({replica.service for replica in kept_orphans}):
        draft.note(f"{service} is not in the Compose file any more and keeps running")
    declared = {volume.name for volume in project.volumes}
    for volume in sorted(observed.volumes, key=lambda volume: volume.name):
        if volume.instance == observed.instance and volume.name not in declared:
            draft.note(f"the volume {volume.name} is not in the Compose file any more; it is kept with its data")
    for change in changes.values():
        action = change.service.update.failure_action
        if change.start and action != "rollback":
            draft.note(
                f"{change.service.name}: failure_action {action} is not followed, a failed release is undone whole"
            )


def _note_direct_calls(draft: Draft, edge: EdgeFacts, changes: Mapping[str, Change]) -> None:
    """Whose callers may notice that a replica they call goes."""
    for service, note in edge.direct:
        change = changes.get(service)
        if change is not None and change.start and change.leave and not change.stops_first:
            draft.note(note)


def _note_the_migration(draft: Draft, app: App | None, changes: Mapping[str, Change]) -> None:
    """Who waits for a migration learns why this release has none."""
    change = changes.get(app.migration.service) if app and app.migration else None
    if change is not None and not change.replaced and not draft.is_empty:
        draft.note(f"the migration does not run: {change.service.name}, whose new image would run it, is not replaced")
