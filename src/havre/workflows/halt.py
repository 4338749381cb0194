"""Stop services and start them again, as releases of their own: recorded, locked, undone when they fail."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from havre.model.observed import Observed
from havre.model.plan import Plan
from havre.model.project import Project
from havre.planning.facts import EdgeFacts
from havre.planning.removal import plan_start, plan_stop
from havre.workflows.control import refuse_unknown, serving_intent
from havre.workflows.deploy import Choices, Proposal, proposal_of
from havre.workflows.release_work import look
from havre.workflows.server import Server

Planning = Callable[[Observed, Project, EdgeFacts, Collection[str]], Plan]


def propose_stop(server: Server, instance: str, services: Sequence[str]) -> Proposal:
    """What stopping `services` (all when empty) would do; raises InputError for unknown ones."""
    return _propose(server, instance, services, "stop", plan_stop)


def propose_start(server: Server, instance: str, services: Sequence[str]) -> Proposal:
    """What starting `services` (all when empty) again would do; raises InputError for unknown ones."""
    return _propose(server, instance, services, "start", plan_start)


def _propose(server: Server, instance: str, services: Sequence[str], kind: str, planning: Planning) -> Proposal:
    intent = serving_intent(server, instance)
    refuse_unknown(intent.project, services, instance)
    chosen = tuple(services) or intent.project.service_names
    quiet = replace(intent, app=replace(intent.app, migration=None, verifications=()))
    return proposal_of(
        server,
        quiet,
        Choices(kind=kind),
        lambda observed, edge: planning(observed, quiet.project, edge, chosen),
        look(server, quiet),
    )
