"""Promote: deploy the images that served in another environment, without building anything again.

The source is an instance on this server, or a release fetched from another server (`transfer`). What is promoted are
images alone: configuration, secrets, routes, migration and verification are the target's own, and so is the undoing.
"""

from __future__ import annotations

from dataclasses import replace

from havre.errors import InputError, Problem, RefusedError
from havre.model.release import Release
from havre.planning.promotion import promote_images, with_names
from havre.planning.rollout import plan_rollout
from havre.workflows.configurations import can_be_asked
from havre.workflows.deploy import Check, Choices, Planner, Proposal, propose
from havre.workflows.intent import Intent
from havre.workflows.rollback import RETURNABLE
from havre.workflows.server import Server


def release_to_promote(server: Server, instance: str, number: int | None = None) -> Release:
    """The release of `instance` that serves, or the one asked for; raises RefusedError unless it has served."""
    if number is None:
        serving = server.state.releases.serving(instance)
        if serving is None:
            raise RefusedError(_nothing_serves(instance))
        return serving
    release = server.state.releases.get(instance, number)
    if release is None or release.state not in RETURNABLE:
        raise RefusedError(_never_served(instance, number))
    return release


def propose_promotion(server: Server, intent: Intent, release: Release, *, check: Check | None = None) -> Proposal:
    """What deploying the images of `release` as `intent` would do; nothing is touched.

    Raises RefusedError when images are gone, and for every problem that the checks call an error.
    """
    if release.instance == intent.app.instance:
        raise InputError(_itself(release.instance))
    wanted = {*(pin.reference for pin in release.images), *(pin.image_id for pin in release.images)}
    own = {f"{intent.app.instance}/{pin.service}:{pin.reference.rpartition(':')[2]}" for pin in release.images}
    observed = server.engine.observe(intent.app.instance, references=sorted(wanted | own))
    promotion = promote_images(
        intent.project, release.images, observed, source=release.instance, release=release.number
    )
    trials = can_be_asked(server, promotion.project)
    promoted = replace(intent, project=promotion.project, named=promotion.names)

    def planner(choices: Choices) -> Planner:
        return lambda seen, edge: with_names(
            plan_rollout(
                promotion.project,
                seen,
                app=intent.app,
                edge=edge,
                files=intent.files,
                scale=choices.scale,
                trials=trials,
            ),
            promotion,
        )

    choices = Choices(kind="promote", promoted_from=promotion.origin)
    return propose(server, promoted, choices, check=check, planner=planner)


def _nothing_serves(instance: str) -> Problem:
    return Problem(
        summary="no release of it serves on this server, so there is nothing to promote",
        subject=instance,
        hint="deploy it first; if it runs on another server, name that with `--from USER@HOST`",
        code="nothing-to-promote",
    )


def _never_served(instance: str, number: int) -> Problem:
    return Problem(
        summary=f"release {number} never served, or does not exist; only what was proven is promoted",
        subject=instance,
        hint="choose a release that served: `havre releases` of that environment lists them",
        code="nothing-to-promote",
    )


def _itself(instance: str) -> Problem:
    return Problem(
        summary="an environment cannot be promoted to itself",
        subject=instance,
        hint="name the environment whose images you want, and the one that shall run them: `havre promote staging`",
        code="promotion-to-itself",
    )
