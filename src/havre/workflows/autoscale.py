"""Look at what replicas use, and propose as many as the manifest's targets ask for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from havre.engines.base import Usage
from havre.errors import InputError, Problem
from havre.host import clock
from havre.model.project import Service
from havre.planning.autoscaling import Decision, Load, decide
from havre.workflows.control import propose_scale, serving_intent
from havre.workflows.deploy import Proposal
from havre.workflows.server import Server

LOOKS, PAUSE = 5, 1.0
"""How often the use is looked at, and seconds between: a moment's peak is no load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscaling:
    """What should change, and the proposal that changes it; None where nothing should."""

    decisions: tuple[Decision, ...]
    proposal: Proposal | None

    @property
    def numbers(self) -> dict[str, int | None]:
        """The services whose number changes, and to what."""
        return {one.service: one.wanted for one in self.decisions if one.wanted != one.now}


def propose_autoscale(server: Server, instance: str, *, looks: int = LOOKS, pause: float = PAUSE) -> Autoscaling:
    """What the targets of the release that serves ask for now. Raises InputError where it has none."""
    intent = serving_intent(server, instance)
    policies = intent.app.autoscale
    if not policies:
        raise InputError(_no_targets(instance))
    used: list[Usage] = []
    for look in range(looks):
        if look:
            clock.sleep(pause)
        used += server.engine.usage(instance)
    decisions = tuple(
        decide(policy, load_of(intent.project.service(policy.service), used))
        for policy in policies
        if any(usage.service == policy.service for usage in used)
    )
    found = Autoscaling(decisions=decisions, proposal=None)
    if not found.numbers:
        return found
    return Autoscaling(decisions=decisions, proposal=propose_scale(server, instance, found.numbers))


def load_of(service: Service, used: Sequence[Usage]) -> Load:
    """The mean load of a service's replicas; what nobody limits may use a whole core, and has no share of memory."""
    own = [usage for usage in used if usage.service == service.name]
    core = 100.0 * (service.resources.cpus or 1.0)
    return Load(
        replicas=len({usage.slot for usage in own}),
        cpu=_mean(usage.cpu / core for usage in own if usage.cpu is not None),
        memory=_mean(
            usage.memory / limit
            for usage in own
            if usage.memory is not None and (limit := service.resources.memory or usage.memory_limit)
        ),
    )


def _mean(shares: Iterable[float]) -> float | None:
    found = list(shares)
    return 100 * fmean(found) if found else None


def _no_targets(instance: str) -> Problem:
    return Problem(
        summary="the release that serves says of no service when it is to be scaled",
        subject=instance,
        hint="add `autoscale: {SERVICE: {max: 4, cpu: 70}}` to havre.yaml and deploy it",
        code="autoscale-none",
    )
