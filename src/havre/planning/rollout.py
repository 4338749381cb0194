"""From what runs to what the project says, without a dropped request: the plan of a deployment."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from havre.model.app import App
from havre.model.observed import Observed
from havre.model.plan import Plan
from havre.model.project import Project
from havre.planning.facts import EdgeFacts

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
) -> Plan:
    """The plan that makes `observed` match `project`; empty when it does."""
    raise NotImplementedError
