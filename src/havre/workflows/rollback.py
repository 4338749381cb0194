"""Go back to an earlier release: the images, the configuration and the environment it ran with, not today's (D13)."""

from __future__ import annotations

from havre.errors import Problem, RefusedError
from havre.model.release import Release, ReleaseState
from havre.planning.rollback import Schema, pin_images, plan_rollback
from havre.workflows.deploy import Choices, Proposal, proposal_of
from havre.workflows.intent import Intent
from havre.workflows.record import unseal_configuration
from havre.workflows.release_work import look
from havre.workflows.server import Server

RETURNABLE = (ReleaseState.SERVING, ReleaseState.SUPERSEDED)


def propose_rollback(server: Server, instance: str, number: int | None = None) -> Proposal:
    """What going back to release `number` (the one before the serving one by default) would do.

    Raises RefusedError when there is none to go back to, or when its images or configuration are gone.
    """
    release = _target(server, instance, number)
    recorded = unseal_configuration(server, instance, release.number)
    # An image whose name was given to a newer one is found by its id alone.
    references = {*(service.image for service in recorded.project.services), *(pin.image_id for pin in release.images)}
    observed = server.engine.observe(instance, references=sorted(references))
    project = pin_images(recorded.project, release.images, observed)
    intent = Intent(app=recorded.app, project=project, files=recorded.files)
    serving = server.state.releases.serving(instance)
    schema = Schema(then=release.schema_head, now=serving.schema_head if serving else None)
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
        ),
        look(server, intent),
    )


def _target(server: Server, instance: str, number: int | None) -> Release:
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


def _nothing_before(instance: str) -> Problem:
    return Problem(
        summary="there is no earlier release to go back to",
        subject=instance,
        hint="`havre releases` lists what was deployed; deploy an older commit instead",
        code="no-earlier-release",
    )
