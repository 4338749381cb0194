"""How many replicas a service should have for the load that it carries: pure, so that it can be argued about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from havre.model.app import Autoscale

TOLERANCE = 0.1
"""So far above its target a load may be before replicas are added: what swings a little changes nothing."""

ROOM = 0.9
"""A replica goes only when the others would then be at so much of their target at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The mean over `replicas`, in percent of what one replica may use; None where that is not known."""

    replicas: int
    cpu: float | None = None
    memory: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How many replicas a service should have instead of `now`, and why."""

    service: str
    now: int
    wanted: int
    why: str

    def __str__(self) -> str:
        count = f"{self.now} replicas" if self.now != 1 else "1 replica"
        return f"{self.service}: {count} {self.why}: {f'{self.wanted} wanted' if self.wanted != self.now else 'enough'}"


def decide(policy: Autoscale, load: Load) -> Decision:
    """As many as bring the busiest of cpu and memory to its target: up at once (at most double), down one at a time."""
    shares = sorted(_shares(policy, load), reverse=True)
    ratio, why = shares[0] if shares else (1.0, "whose load is not known")
    wanted = load.replicas
    if ratio > 1 + TOLERANCE:
        wanted = min(ceil(load.replicas * ratio), 2 * load.replicas)
    elif shares and load.replicas > 1 and ratio * load.replicas / (load.replicas - 1) <= ROOM:
        wanted = load.replicas - 1
    wanted = max(policy.least, min(wanted, policy.most))
    return Decision(service=policy.service, now=load.replicas, wanted=wanted, why=why)


def _shares(policy: Autoscale, load: Load) -> Iterator[tuple[float, str]]:
    """(load by target, in words) of each target whose load is known."""
    for name, target, used in (("cpu", policy.cpu, load.cpu), ("memory", policy.memory, load.memory)):
        if target and used is not None:
            yield used / target, f"at {used:.0f}% {name}, target {target}%"
