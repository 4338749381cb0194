"""Compares the secrets of an app's environments on this server; only the names of variables come out."""

from __future__ import annotations

from collections.abc import Iterator

from havre.checks.placeholders import placeholder
from havre.errors import RefusedError
from havre.model.app import App
from havre.model.launch import Neighbour
from havre.model.project import Project
from havre.model.secrets_mask import is_secret_name
from havre.workflows.record import serving_configuration
from havre.workflows.server import Server


def neighbours_of(server: Server, app: App, project: Project) -> Iterator[Neighbour]:
    """Every other environment of the app that a release serves in, with the secrets it has in common."""
    own = _secrets(project)
    for known in server.state.instances.list():
        if known.app != app.name or known.instance == app.instance:
            continue
        try:
            recorded = serving_configuration(server, known.instance)
        except RefusedError:  # its configuration is not kept any more
            continue
        if recorded is not None:
            theirs = set(_secrets(recorded.project).values())
            shared = tuple(sorted(name for name, value in own.items() if value in theirs))
            yield Neighbour(instance=known.instance, shared=shared)


def _secrets(project: Project) -> dict[str, str]:
    """What somebody chose: an example's password is the same everywhere, and another check says so."""
    return {
        name: value
        for service in project.services
        for name, value in service.environment
        if value and is_secret_name(name) and placeholder(value) is None
    }
