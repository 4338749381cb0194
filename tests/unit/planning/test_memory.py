"""The engine and the edge in memory refuse and complain where their users rely on it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from memory_world import NETWORK, World, project, rolling, stateful, world

from havre.engines.base import Context, Executed, LogQuery
from havre.engines.memory import Behaviour, MemoryEngine
from havre.engines.memory_edge import MemoryEdge
from havre.errors import FailedError
from havre.model.health import HealthState
from havre.model.observed import ReplicaState
from havre.model.plan import (
    CreateNetwork,
    Drain,
    Hold,
    PullImage,
    RemoveNetwork,
    RemoveReplica,
    RemoveVolume,
    RestartReplica,
    Resume,
    RunTask,
    StartReplica,
    StopReplica,
    Switch,
)
from havre.model.project import Resources

WEB = replace(rolling("web"), resources=Resources(memory=1024))
DB = stateful("db")
SHOP = project(WEB, DB)
CONTEXT = Context(instance="shop", release=1, project=SHOP)


def engine(**behaviour: object) -> MemoryEngine:
    """An engine with everything that `WEB` and `DB` need."""
    made = MemoryEngine(Behaviour(**behaviour))  # type: ignore[arg-type]
    made.add_image("web:1")
    made.add_image("db:1")
    made.add_network("shop_default", instance="shop")
    made.add_volume("shop_dbdata", instance="shop")
    return made


def running(**behaviour: object) -> MemoryEngine:
    made = engine(**behaviour)
    made.perform(StartReplica(service=WEB, slot=1, fingerprint="v1"), CONTEXT)
    return made


def refusal(made: MemoryEngine, step: object) -> str:
    with pytest.raises(FailedError) as refused:
        made.perform(step, CONTEXT)  # type: ignore[arg-type]
    return refused.value.problems[0].code


def test_it_says_what_it_is_and_what_it_holds() -> None:
    made = running()
    assert (made.name, made.instances()) == ("memory", ("shop",))
    assert "process" in made.describe()
    assert [(u.service, u.slot, u.memory_limit) for u in made.usage("shop")] == [("web", 1, 1024)]
    assert made.usage("other") == ()


def test_a_replica_needs_its_image_network_and_volume() -> None:
    bare = MemoryEngine()
    start, database = StartReplica(service=WEB, slot=1), StartReplica(service=DB, slot=1)
    assert refusal(bare, start) == "image-missing"
    bare.add_image("web:1")
    assert refusal(bare, start) == "network-missing"
    bare.add_image("db:1")
    assert refusal(bare, database) == "volume-missing"


def test_doing_what_is_done_is_no_error() -> None:
    made = running()
    for step in (
        StartReplica(service=WEB, slot=1, fingerprint="v1"),
        RestartReplica(service="web", slot=1),
        StopReplica(service="web", slot=1),
        StopReplica(service="web", slot=1),
        RemoveReplica(service="web", slot=1),
        RemoveReplica(service="web", slot=1),
        CreateNetwork(network=NETWORK),
        RemoveNetwork(name="shop_default"),
        RemoveNetwork(name="shop_default"),
        RemoveVolume(name="shop_dbdata"),
        RemoveVolume(name="shop_dbdata"),
    ):
        made.perform(step, CONTEXT)
    left = made.observe("shop")
    assert (left.replicas, left.networks, left.volumes) == ((), (), ())


def test_it_refuses_what_a_plan_must_never_ask() -> None:
    made = running()
    assert refusal(made, RemoveReplica(service="web", slot=1)) == "still-running"
    assert refusal(made, RemoveNetwork(name="shop_default")) == "still-running"
    assert refusal(made, StartReplica(service=WEB, slot=1, fingerprint="v1 other=1")) == "slot-taken"
    assert refusal(made, RestartReplica(service="web", slot=7)) == "replica-missing"


def test_commands_answer_as_told_and_only_in_running_replicas() -> None:
    made = running(answers={("ping",): Executed(exit_code=1, output="no")})
    assert made.execute("shop", "web", 1, ["ping"]) == Executed(exit_code=1, output="no")
    assert made.execute("shop", "web", 1, ["echo", "hi"]).output == "echo hi"
    assert made.interactive("shop", "web", 1, ["ping"]) == 1
    made.crash("shop", "web", 1)
    for ask in (lambda: made.execute("shop", "web", 1, ["ping"]), lambda: made.address(WEB, 1, CONTEXT)):
        with pytest.raises(FailedError, match="does not run"):
            ask()


def test_replicas_write_a_line_when_they_start_and_end() -> None:
    made = running()
    made.now += 10
    made.crash("shop", "web", 1, exit_code=9)

    def texts(**query: object) -> list[str]:
        return [line.text for line in made.logs("shop", LogQuery(**query))]  # type: ignore[arg-type]

    assert texts() == ["started", "ended with exit code 9"]
    assert texts(tail=1) == texts(since=made.now) == ["ended with exit code 9"]
    assert texts(until=made.now - 1) == ["started"]
    assert texts(services=("db",)) == []
    assert list(made.logs("other", LogQuery())) == []


def test_health_takes_its_time_and_the_clock_is_virtual() -> None:
    made = running(slow={"web": 0.25})
    before = made.now
    states = [made.probe(WEB, 1, CONTEXT).state for _ in range(3)]
    assert states == [HealthState.STARTING, HealthState.STARTING, HealthState.HEALTHY]
    assert round(made.now - before, 3) == 0.3
    assert made.probe(WEB, 2, CONTEXT).state is HealthState.UNHEALTHY


def test_a_failed_task_is_kept_and_a_successful_one_leaves_nothing() -> None:
    made = engine(exits={"db:1": 4})
    made.perform(RunTask(service=WEB, command=("x",)), CONTEXT)
    assert made.observe("shop").replicas == ()
    assert refusal(made, RunTask(service=DB, command=("x",), role="job")) == "task-failed"
    (kept,) = made.observe("shop").replicas
    assert (kept.slot, kept.role, kept.state, kept.exit_code) == (9001, "job", ReplicaState.EXITED, 4)


def test_it_fails_where_it_is_told_to_before_or_after_the_effect() -> None:
    early, late = engine(fail_at=1), engine(fail_at=1, fail_late=True)
    step = PullImage(reference="new:1")
    assert refusal(early, step) == refusal(late, step) == "memory-told"
    assert ("new:1" in early.images, "new:1" in late.images) == (False, True)


def test_progress_is_told() -> None:
    lines: list[str] = []
    engine().perform(PullImage(reference="new:1"), CONTEXT, progress=lines.append)
    assert lines == ["pull new:1"]


def test_services_meet_the_edge_at_the_gateway_of_a_network_they_share() -> None:
    made = running()
    observed = made.observe("shop")
    assert made.meeting_point(WEB, DB, CONTEXT, observed) == "10.88.1.1"
    assert made.meeting_point(WEB, replace(DB, networks=()), CONTEXT, observed) is None
    assert made.address(WEB, 1, CONTEXT).startswith("10.88.1.")


def test_a_replica_without_network_is_reached_on_loopback() -> None:
    made = engine()
    lonely = replace(WEB, networks=(), mounts=DB.mounts)
    made.perform(StartReplica(service=lonely, slot=1), CONTEXT)
    assert made.address(lonely, 1, CONTEXT) == "127.0.0.1"


def test_the_edge_complains_of_every_request_that_would_have_failed() -> None:
    made = running()
    edge = MemoryEdge(made, "shop")
    edge.perform(Switch(to=(("web", (1,)),)))
    edge.proven.add(("web", 1))
    edge.perform(Drain(service="web", slot=1))
    made.perform(StopReplica(service="web", slot=1), CONTEXT)
    assert edge.complaints == [
        "a route points at web.1, which nobody proved",
        "web.1 is drained while requests are led to it",
        "a route points at web.1, which does not run",
    ]


def test_the_edge_does_not_complain_while_requests_are_held() -> None:
    made = running()
    edge = MemoryEdge(made, "shop")
    edge.proven.add(("web", 1))
    edge.perform(Switch(to=(("web", (1,)),)))
    edge.perform(Hold(service="web"))
    edge.perform(Drain(service="web", slot=1))
    made.perform(StopReplica(service="web", slot=1), CONTEXT)
    assert edge.complaints == []
    made.perform(RestartReplica(service="web", slot=1), CONTEXT)
    edge.perform(Switch(to=(("web", (1,)),)))
    assert (edge.complaints, edge.held) == ([], set())


def test_the_edge_complains_when_what_a_service_calls_is_away_and_its_requests_do_not_wait() -> None:
    made = running()
    edge = MemoryEdge(made, "shop")
    edge.leads_to = {"api": ()}
    edge.proven.add(("web", 1))
    edge.expect({"web": ["api"], "db": ["api"]})
    edge.perform(Hold(service="web", callers=("api",)))
    edge.perform(Hold(service="other", callers=("api",)))
    made.perform(StopReplica(service="web", slot=1), CONTEXT)
    edge.perform(Resume(service="web", callers=("api",)))
    assert (edge.complaints, edge.held) == ([], {"api"})
    edge.perform(Resume(service="other", callers=("api",)))
    assert edge.complaints == ["web, which api calls, is away"]


def test_a_held_service_gets_its_requests_back_where_it_is_now() -> None:
    edge = MemoryEdge(running(), "shop")
    edge.proven.add(("web", 1))
    edge.perform(Hold(service="web"))
    edge.perform(Resume(service="web", slots=(1,)))
    assert (edge.held, edge.leads_to, edge.complaints) == (set(), {"web": (1,)}, [])


def test_a_world_tells_its_story_when_the_edge_complains() -> None:
    made = world(WEB, led=("web",))
    assert made.complaints() == ""
    made.engine.crash("shop", "web", 1)
    made.edge.check()
    assert made.complaints().startswith("a route points at web.1, which does not run\nafter\n-- release 1\npull web:1")
    assert repr(World()) == "< led {} of []>"
