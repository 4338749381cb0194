"""How long a service may take to stop for its data, and what is said where none of it runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from data_stand import NoTraffic
from memory_world import stateful

from havre.engines.base import Context
from havre.engines.memory import MemoryEngine
from havre.errors import FailedError
from havre.model.plan import StartReplica, StopReplica
from havre.model.project import Project, Service
from havre.store.state import State
from havre.workflows.places import grace_of, running_replica
from havre.workflows.server import Server

WEB = stateful("web", "shop:1")
DATABASE = stateful("db", "postgres:16")


@pytest.mark.parametrize(
    ("service", "seconds"),
    [
        (WEB, 10.0),
        (replace(WEB, stop_grace=1.0, stop_grace_given=True), 1.0),
        (DATABASE, 30.0),
        (stateful("db", "mariadb:11"), 30.0),
        (stateful("kv", "valkey:8"), 30.0),
        (replace(DATABASE, stop_grace=5.0, stop_grace_given=True), 5.0),
        (replace(DATABASE, stop_grace=120.0, stop_grace_given=True), 120.0),
        (replace(DATABASE, command=("sleep", "600")), 10.0),
    ],
)
def test_what_the_user_said_counts_else_a_database_has_time_to_write(service: Service, seconds: float) -> None:
    assert grace_of(service) == seconds


def hint(server: Server) -> str:
    with pytest.raises(FailedError) as refused:
        running_replica(server, "shop", "web")
    return refused.value.problems[0].hint


def test_what_was_never_deployed_is_deployed_and_what_was_stopped_is_started(tmp_path: Path) -> None:
    engine = MemoryEngine()
    server = Server(
        state=State(tmp_path), engine=engine, traffic=NoTraffic(), seal=bytes, unseal=bytes, who="tests", machine="test"
    )  # fmt: skip
    assert hint(server) == "`havre deploy` makes it, then try again"
    web = Service(name="web", image="shop:1")
    engine.add_image("shop:1")
    context = Context(instance="shop", release=1, project=Project(name="shop", services=(web,)))
    engine.perform(StartReplica(service=web, slot=1), context)
    engine.perform(StopReplica(service="web", slot=1), context)
    assert hint(server) == "`havre ps` shows its state; `havre start web`, then try again"
