"""Go back to an earlier release: the images, the configuration and the environment it ran with, not today's (D13)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from havre.backups.book import Book
from havre.errors import Problem, RefusedError
from havre.model.app import Migration
from havre.model.plan import UndoMigration
from havre.model.project import Service
from havre.model.release import Release, ReleaseState
from havre.planning.rollback import Schema, pin_images, plan_rollback
from havre.workflows.deploy import Choices, Proposal, proposal_of
from havre.workflows.intent import Intent
from havre.workflows.migrate import filled
from havre.workflows.record import Recorded, serving_configuration, unseal_configuration
from havre.workflows.release_work import look, schema_head
from havre.workflows.server import Server

RETURNABLE = (ReleaseState.SERVING, ReleaseState.SUPERSEDED)


def propose_rollback(
    server: Server, instance: str, number: int | None = None, *, undo: bool = False, today: Migration | None = None
) -> Proposal:
    """What going back to release `number` (the one before the serving one by default) would do.

    With `undo` the schema goes back first, by what the serving release's manifest says, else `today`'s. Raises
    RefusedError when there is none to go back to, when its images or configuration are gone, or when nothing says
    how to undo.
    """
    release = target(server, instance, number)
    recorded = unseal_configuration(server, instance, release.number)
    # An image whose name was given to a newer one is found by its id alone.
    references = {*(service.image for service in recorded.project.services), *(pin.image_id for pin in release.images)}
    observed = server.engine.observe(instance, references=sorted(references))
    project = pin_images(recorded.project, release.images, observed)
    intent = Intent(app=recorded.app, project=project, files=recorded.files)
    serving = _serving(server, instance, today)
    schema = _schema(server, instance, release, serving, recorded)
    step = _undo_step(instance, release, serving, schema) if undo else None
    return proposal_of(
        server,
        intent,
        Choices(kind="rollback", rolled_back_to=release.number),
        lambda seen, edge: plan_rollback(
            recorded.project,
            release.images,
            seen,
            release=release.number,
            app=recorded.app,
            edge=edge,
            files=recorded.files,
            schema=schema,
            undo=step,
        ),
        look(server, intent),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Serving:
    """The release that serves: its migration, and the service as it runs now, which alone knows how to undo it."""

    migration: Migration | None = None
    service: Service | None = None


def _serving(server: Server, instance: str, today: Migration | None) -> _Serving:
    recorded = serving_configuration(server, instance)
    release = server.state.releases.serving(instance)
    migration = recorded.app.migration if recorded else None
    if migration is None or recorded is None or release is None:
        return _Serving()
    if migration.undo is None and today is not None:
        migration = replace(migration, undo=today.undo)
    references = {service.image for service in recorded.project.services} | {pin.image_id for pin in release.images}
    observed = server.engine.observe(instance, references=sorted(references))
    project = pin_images(recorded.project, release.images, observed)
    return _Serving(migration=migration, service=project.service(migration.service))


def _schema(server: Server, instance: str, release: Release, serving: _Serving, recorded: Recorded) -> Schema:
    now = schema_head(server, recorded.app, recorded.project)
    taken = Book(server.state.backups).snapshots(instance)
    since = [one for one in taken if one.purpose == "safeguard" and one.started_at > (release.ended_at or 0)]
    oldest = {one.service: one.id for one in since if one.is_good}  # newest first: the oldest of each stays
    return Schema(
        then=release.schema_head,
        now=now,
        can_undo=serving.migration is not None and serving.migration.undo is not None,
        safeguards=tuple(sorted(oldest.items())),
    )


def _undo_step(instance: str, release: Release, serving: _Serving, schema: Schema) -> UndoMigration | None:
    """None where the schema is already what the release to return to had."""
    migration, service = serving.migration, serving.service
    if schema.then is not None and schema.then == schema.now:
        return None
    if migration is None or migration.undo is None or service is None:
        raise RefusedError(_no_undo(instance, schema))
    if schema.then is None and any("{revision}" in word for word in migration.undo):
        raise RefusedError(_no_revision(instance, release))
    command = filled(migration.undo, schema.then or "")
    return UndoMigration(service=service, command=command, until=schema.then, timeout=migration.timeout)


def target(server: Server, instance: str, number: int | None) -> Release:
    """The release that going back leads to: the one asked for, or the one that served before."""
    releases = server.state.releases.list(instance, limit=200)
    good = [release for release in releases if release.state in RETURNABLE]
    if number is not None:
        found = next((release for release in good if release.number == number), None)
        if found is None:
            raise RefusedError(_not_returnable(instance, number, good))
        return found
    serving = next((release for release in good if release.state is ReleaseState.SERVING), None)
    earlier = [release for release in good if serving is None or release.number < serving.number]
    current = serving.rolled_back_to if serving and serving.rolled_back_to else None
    earlier = [release for release in earlier if current is None or release.number < current]
    if not earlier:
        raise RefusedError(_nothing_before(instance))
    return earlier[0]


def _not_returnable(instance: str, number: int, good: list[Release]) -> Problem:
    return Problem(
        summary=f"release {number} never served, or does not exist, so there is nothing to go back to",
        subject=instance,
        evidence=(f"releases that served: {', '.join(str(release.number) for release in good) or 'none'}",),
        hint="choose one of those: `havre releases` lists them",
        code="release-not-returnable",
    )


def _no_undo(instance: str, schema: Schema) -> Problem:
    snapshots = tuple(f"snapshot from before the migration: {snapshot}" for _, snapshot in schema.safeguards)
    return Problem(
        summary="nothing says how the migration of the release that serves is undone",
        subject=instance,
        evidence=snapshots,
        effect="nothing was touched",
        hint="give `undo:` under `release.migrate` in havre.yaml, or roll back without --undo",
        code="undo-unknown",
    )


def _no_revision(instance: str, release: Release) -> Problem:
    return Problem(
        summary=f"the undo needs a {{revision}}, and release {release.number} recorded none",
        subject=instance,
        effect="nothing was touched",
        hint="take the schema back by hand with `havre run`, then roll back without --undo",
        code="undo-unknown",
    )


def _nothing_before(instance: str) -> Problem:
    return Problem(
        summary="there is no earlier release to go back to",
        subject=instance,
        hint="`havre releases` lists what was deployed; deploy an older commit instead",
        code="no-earlier-release",
    )
