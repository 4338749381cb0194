"""Restart and scale what serves: by the road of a release, from the configuration that serves, never from the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches

from havre.errors import InputError, Problem, RefusedError
from havre.model.project import Project
from havre.planning.rollback import pin_images
from havre.workflows.deploy import Choices, Proposal, propose
from havre.workflows.intent import Intent
from havre.workflows.record import unseal_configuration
from havre.workflows.release_work import look
from havre.workflows.server import Server


def serving_intent(server: Server, instance: str) -> Intent:
    """What serves now, as an intent: its manifest, its project and its images, whatever the files say today.

    Raises RefusedError when nothing was deployed yet.
    """
    serving = server.state.releases.serving(instance)
    if serving is None:
        raise RefusedError(_nothing_serves(instance))
    recorded = unseal_configuration(server, instance, serving.number)
    unpinned = Intent(app=recorded.app, project=recorded.project, files=recorded.files)
    pinned = pin_images(recorded.project, serving.images, look(server, unpinned))
    return replace(unpinned, project=pinned)


def propose_restart(server: Server, instance: str, services: Sequence[str]) -> Proposal:
    """Replace the replicas of `services` (all when empty) one way or the other, as each allows."""
    intent = serving_intent(server, instance)
    refuse_unknown(intent.project, services, instance)
    chosen = tuple(services) or intent.project.service_names
    return propose(server, _without_migration(intent), Choices(kind="restart", force=chosen))


def propose_scale(server: Server, instance: str, wanted: Mapping[str, int | None]) -> Proposal:
    """Run as many replicas as `wanted` says; None goes back to what the Compose file says."""
    intent = serving_intent(server, instance)
    refuse_unknown(intent.project, tuple(wanted), instance)
    in_file = {name: intent.project.service(name).replicas for name in wanted}
    scale = {name: in_file[name] if count is None else count for name, count in wanted.items()}
    return propose(server, _without_migration(intent), Choices(kind="scale", scale=scale))


def remember_scale(server: Server, instance: str, wanted: Mapping[str, int | None]) -> None:
    """Keep the numbers for the releases to come."""
    for service, count in wanted.items():
        server.state.instances.scale(instance, service, count)


def refuse_unknown(project: Project, services: Sequence[str], instance: str) -> None:
    """Raise InputError naming every service that does not exist, with the nearest that does."""
    known = project.service_names
    problems = []
    for name in services:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            problems.append(
                Problem(
                    summary=f"there is no service `{name}`",
                    subject=instance,
                    evidence=(f"services: {', '.join(known)}",),
                    hint=f"did you mean `{close[0]}`?" if close else "use one of the names above",
                    code="service-unknown",
                )
            )
    if problems:
        raise InputError(problems)


def _without_migration(intent: Intent) -> Intent:
    """Restarting the same version migrates nothing."""
    return replace(intent, app=replace(intent.app, migration=None))


def _nothing_serves(instance: str) -> Problem:
    return Problem(
        summary="nothing serves yet, so there is nothing to act on",
        subject=instance,
        hint="deploy first: `havre plan`, then `havre deploy`",
        code="nothing-serves",
    )
