"""The sides that `havre diff` compares: what the files say, or what the serving release was made of."""

from __future__ import annotations

from havre.errors import Problem, RefusedError
from havre.planning.differences import Side
from havre.workflows.intent import Intent
from havre.workflows.record import as_scaled, serving_configuration
from havre.workflows.server import Server


def side_of_files(intent: Intent, *, label: str) -> Side:
    """What a deploy would make of the files as they are now."""
    return Side(label=label, app=intent.app, project=intent.project, files=intent.files)


def side_that_runs(server: Server, instance: str) -> Side:
    """What the serving release was made of, scaled as it is now; raises RefusedError when nothing serves."""
    serving, recorded = server.state.releases.serving(instance), serving_configuration(server, instance)
    if serving is None or recorded is None:
        raise RefusedError(_nothing_serves(instance))
    return Side(
        label=f"release {serving.number}",
        app=recorded.app,
        project=as_scaled(server, instance, recorded.project),
        files=recorded.files,
    )


def _nothing_serves(instance: str) -> Problem:
    return Problem(
        summary="no release of it serves on this server, so there is nothing to compare with",
        subject=instance,
        hint="`havre plan` shows what a first deploy would do; `havre diff ONE OTHER` compares the files of two",
        code="nothing-serves",
    )
