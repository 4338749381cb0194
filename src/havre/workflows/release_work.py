"""What every release does alike, whoever asked for it: look, know the edge, take back, close the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from havre.checks.case import Case
from havre.errors import HavreError
from havre.host import clock
from havre.model.app import App
from havre.model.observed import Observed
from havre.model.plan import Phase, Plan, Switch
from havre.model.project import Project
from havre.model.release import Release, ReleaseState
from havre.model.route import AppEdge
from havre.planning.facts import EdgeFacts
from havre.store.instances import AuditLine
from havre.workflows.check import claims_to_keep
from havre.workflows.execute import Cancellation, Outcome, Witness, execute
from havre.workflows.intent import Intent
from havre.workflows.journal import Journal
from havre.workflows.migrate import look as look_at_schema
from havre.workflows.perform import Performer, Work, meet_inside
from havre.workflows.record import Recorded, pinned_images, serving_configuration
from havre.workflows.routing import app_edge, inside_ports, published
from havre.workflows.server import Server, called_through, led_to_where_they_are, slots_by_service


def look(server: Server, intent: Intent) -> Observed:
    """One snapshot, with the images that the project names; those the release will name itself count as named."""
    references = sorted({service.image for service in intent.project.services} | {id_ for _, id_ in intent.named})
    observed = server.engine.observe(intent.app.instance, references=references)
    if not intent.named:
        return observed
    ids = {image.id: image for image in observed.images}
    named = {name: replace(ids[id_], reference=name) for name, id_ in intent.named if id_ in ids}
    others = (image for image in observed.images if image.reference not in named)
    return replace(observed, images=(*others, *named.values()))


def ports_inside(intent: Intent, observed: Observed, before: AppEdge | None) -> dict[str, tuple[int, ...]]:
    """The ports on which services are called inside the app, the images' EXPOSE included; `before` is led so far."""
    exposed = {}
    for service in intent.project.services:
        image = observed.image(service.image)
        exposed[service.name] = image.exposed if image else ()
    return inside_ports(intent.project, intent.app, exposed, called_through(before))


def edge_facts(server: Server, intent: Intent, observed: Observed, ports: Mapping[str, tuple[int, ...]]) -> EdgeFacts:
    """What planning must know of the edge: whom it will lead to, and where it leads now."""
    app, project = intent.app, intent.project
    applied = server.traffic.read(app.instance)
    met = called_through(applied)
    inside = meet_inside(server, app, project, ports, observed, met)
    wanted = app_edge(app, project, inside, {}, ends_tls=server.ends_tls)
    return EdgeFacts(
        routed=frozenset(route.service for route in app.routes if route.redirect_to is None),
        published=frozenset(port.service for port in published(project)),
        inside=frozenset(ports) - inside.crowded_out,
        direct=inside.notes,
        now=tuple(sorted(slots_by_service(applied).items())),
        routes_changed=_apart_from_replicas(applied) != _apart_from_replicas(wanted),
        is_astray=_leads_astray(applied, observed),
        hold_limit=app.hold_limit,
        met=met,
        serving=_serving(server, app.instance),
    )


def _serving(server: Server, instance: str) -> Project | None:
    """A record that cannot be read is no reason not to replace what it tells of."""
    try:
        recorded = serving_configuration(server, instance)
    except HavreError:
        return None
    return recorded.project if recorded else None


def _leads_astray(edge: AppEdge | None, observed: Observed) -> bool:
    return edge is not None and led_to_where_they_are(edge, observed) != edge


def _apart_from_replicas(edge: AppEdge | None) -> AppEdge | None:
    if edge is None or not (edge.routes or edge.tcp_ports or edge.inside):
        return None
    return replace(edge, upstreams=())


def note(server: Server, instance: str, action: str, outcome: str) -> None:
    """Write who did it and how it ended into the audit log."""
    line = AuditLine(at=clock.now(), by=server.who, instance=instance, action=action, outcome=outcome)
    server.state.instances.write_audit(line)


def close_serving(
    server: Server, intent: Intent, release: Release, phases: tuple[tuple[str, float], ...], *, head: str | None = None
) -> Release:
    """Record that a release serves, pin its images, and drop configurations beyond the retention.

    `head` is the schema's revision where a migration just told it.
    """
    done = replace(
        release,
        state=ReleaseState.SERVING,
        ended_at=clock.now(),
        images=pinned_images(intent.project, look(server, intent)),
        phases=phases,
        result="every step done",
        schema_head=head or schema_head(server, intent.app, intent.project),
    )
    server.state.releases.close(done)
    note(server, release.instance, f"{release.kind}, release {release.number}", done.state.value)
    claims = claims_to_keep(Case.of(intent.app, intent.project, intent.loaded))
    server.state.instances.replace_claims(intent.app.instance, claims)
    recent = server.state.releases.list(intent.app.instance, limit=200)
    returnable = [r.number for r in recent if r.state in (ReleaseState.SERVING, ReleaseState.SUPERSEDED)]
    server.state.releases.forget_sealed(intent.app.instance, returnable[: intent.app.keep_releases + 1])
    return done


def schema_head(server: Server, app: App, project: Project) -> str | None:
    """The schema's revision as its databases tell it now, else as the release that serves recorded it."""
    service = project.service(app.migration.service) if app.migration else None
    state = look_at_schema(server, app.instance, project, service)
    if state is not None and state.head is not None and not (app.migration and app.migration.head):
        return state.head
    serving = server.state.releases.serving(app.instance)
    return serving.schema_head if serving else None


def carry_back(
    server: Server,
    work: Work,
    served: Recorded | None,
    undo: Plan,
    *,
    offset: int,
    others: Sequence[Witness],
) -> Outcome:
    """Do the steps of an undoing, journalled behind those of the release itself."""
    _forget_early(server, work, undo)
    cancellation = Cancellation()
    performer = Performer(server=server, work=work.taken_back(served), cancellation=cancellation)
    journal = Journal(server.state.releases, work.app.instance, work.number, offset=offset, others=others)
    journal.begin(undo)
    return execute(undo, performer, journal, cancellation)


def _forget_early(server: Server, work: Work, undo: Plan) -> None:
    """Drop inside listeners that were opened for new services while they started, where no switch undoes it.

    What only finishes a release that serves already must leave the edge as it is.
    """
    if any(isinstance(step.step, Switch) or step.phase is Phase.RETIRE for step in undo.steps):
        return
    applied = server.traffic.read(work.app.instance)
    if applied == work.before:
        return
    if work.before is None:
        server.traffic.remove(work.app.instance)
    else:
        server.traffic.apply(work.before)
