"""A shop in words: `Shop` holds facts that are well; a test changes what is wrong and reads what is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from havre.checks.diagnosis import diagnose
from havre.errors import Problem
from havre.model.app import App
from havre.model.diagnosis import Facts, ReplicaFacts
from havre.model.health import HealthState, ProbeResult
from havre.model.observed import ObservedReplica, ReplicaState
from havre.model.project import Attachment, Dependency, Project, Service
from havre.model.release import Release, ReleaseState

NOW = 1_000_000.0
HEALTHY = ProbeResult(state=HealthState.HEALTHY, asked="curl -f localhost", output="ok", exit_code=0)
WELL = ("server started",)


def service(name: str, *, environment: Mapping[str, str] | None = None, **more: Any) -> Service:
    """One on the network `inner`, unless told otherwise."""
    values = {"image": f"{name}:1", "networks": (Attachment(network="inner"),), **more}
    return Service(name=name, environment=tuple((environment or {}).items()), **values)


def release(number: int = 1, state: ReleaseState = ReleaseState.SERVING, **more: Any) -> Release:
    """A release of the shop."""
    return Release(instance="shop", number=number, state=state, kind="deploy", started_at=NOW - 5000, **more)


def replica(name: str, *, lines: tuple[str, ...] = WELL, age: float = 4000, **more: Any) -> ReplicaFacts:
    """A replica that runs and is healthy; `more` goes to the observed replica or to its facts, whoever has it."""
    own = {key: more.pop(key) for key in tuple(more) if key in ReplicaFacts.__dataclass_fields__}
    values = {"state": ReplicaState.RUNNING, "slot": 1, "release": 1, "started_at": NOW - age, **more}
    observed = ObservedReplica(service=name, id=name, name=f"shop-{name}-{values['slot']}", **values)
    said = tuple((NOW - 10, line) for line in lines)
    return ReplicaFacts(replica=observed, lines=said, **{"probe": HEALTHY, **own})


def crashed(name: str, *lines: str, code: int = 1, restarts: int = 12, **more: Any) -> ReplicaFacts:
    """One that restarts again and again."""
    return replica(
        name, lines=lines, state=ReplicaState.RESTARTING, exit_code=code, restarts=restarts, probe=None, **more
    )


def stopped(name: str, **more: Any) -> ReplicaFacts:
    """One that somebody has stopped."""
    return replica(name, state=ReplicaState.EXITED, exit_code=0, probe=None, **more)


@dataclass
class Shop:
    """`web` calls `api`, `api` uses the PostgreSQL `db`."""

    services: dict[str, Service] = field(
        default_factory=lambda: {
            "web": service("web", environment={"API": "http://api:8000"}),
            "api": service(
                "api",
                environment={"DATABASE_URL": "postgres://app:good-pw-1@db:5432/app"},
                needs=(Dependency(service="db"),),
            ),
            "db": service(
                "db",
                image="postgres:16",
                environment={"POSTGRES_USER": "app", "POSTGRES_PASSWORD": "good-pw-1"},
            ),
        }
    )
    facts: dict[str, Any] = field(default_factory=dict)
    replicas: dict[str, tuple[ReplicaFacts, ...]] = field(default_factory=dict)

    def put(self, *found: ReplicaFacts) -> Shop:
        """These are the replicas of their service."""
        for one in found:
            self.replicas[one.service] = tuple(
                other for other in (*self.replicas.get(one.service, ()), one) if other in found
            )
        return self

    def change(self, name: str, **more: Any) -> Shop:
        """The service with something else in it."""
        self.services[name] = replace(self.services[name], **more)
        return self

    def problems(self, **facts: Any) -> tuple[Problem, ...]:
        """What the diagnosis says."""
        found = [one for name in self.services for one in self.replicas.get(name, (replica(name),))]
        return diagnose(
            Facts(
                **{
                    "instance": "shop",
                    "project": Project(name="shop", services=tuple(self.services.values())),
                    "app": App(name="shop"),
                    "now": NOW,
                    "replicas": tuple(found),
                    "serving": release(),
                    "last": release(),
                    **self.facts,
                    **facts,
                }
            )
        )

    def one(self, **facts: Any) -> Problem:
        """The only finding."""
        (found,) = self.problems(**facts)
        return found
