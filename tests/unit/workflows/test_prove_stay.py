"""A replica that must stay healthy for a while is watched, and its end is noticed at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from havre.engines.base import Context
from havre.engines.memory import Behaviour, MemoryEngine
from havre.errors import FailedError
from havre.model.health import HealthCheck
from havre.model.plan import StartReplica
from havre.model.project import Project, Service
from havre.workflows.execute import Cancellation, Cancelled
from havre.workflows.prove import prove, stay

WEB = Service(name="web", image="web:1")
CONTEXT = Context(instance="shop", release=1, project=Project(name="shop", services=(WEB,)))


def running() -> MemoryEngine:
    engine = MemoryEngine(Behaviour())
    engine.add_image("web:1")
    engine.perform(StartReplica(service=WEB, slot=1), CONTEXT)
    return engine


def test_a_replica_that_stays_up_is_proven_again_at_the_end() -> None:
    engine = running()
    before = engine.now
    stay(engine, WEB, 1, CONTEXT, Cancellation(), 0.02)
    assert engine.now > before


@pytest.mark.parametrize(
    ("service", "hint"),
    [
        (WEB, "let web listen on that port, or name the one it has (`to:` in havre.yaml, `expose`, `ports`)"),
        (
            replace(WEB, health=HealthCheck(test=("ask",), interval=0.1, timeout=0.1, retries=1)),
            "run the check by hand",
        ),
    ],
)
def test_a_port_that_never_opens_is_nothing_to_run_by_hand(
    monkeypatch: pytest.MonkeyPatch, service: Service, hint: str
) -> None:
    monkeypatch.setattr("havre.workflows.prove.DEFAULT_PATIENCE", 0.1)
    monkeypatch.setattr("havre.workflows.prove.LEAST_PATIENCE", 0.1)
    engine = MemoryEngine(Behaviour(unhealthy=frozenset({"web"})))
    engine.add_image("web:1")
    engine.perform(StartReplica(service=service, slot=1), CONTEXT)
    with pytest.raises(FailedError) as raised:
        prove(engine, service, 1, CONTEXT, Cancellation())
    assert raised.value.problems[0].hint.startswith(hint)


def test_nothing_is_asked_when_it_need_not_stay() -> None:
    engine = running()
    before = engine.now
    stay(engine, WEB, 1, CONTEXT, Cancellation(), 0.0)
    assert engine.now == before


def test_a_replica_that_ends_meanwhile_fails_the_step() -> None:
    engine = running()
    engine.crash("shop", "web", 1, exit_code=3)
    with pytest.raises(FailedError, match="exited with code 3"):
        stay(engine, WEB, 1, CONTEXT, Cancellation(), 0.03)


def test_waiting_ends_when_the_user_says_stop() -> None:
    cancellation = Cancellation()
    cancellation.ask()
    with pytest.raises(Cancelled):
        stay(running(), WEB, 1, CONTEXT, cancellation, 60.0)
