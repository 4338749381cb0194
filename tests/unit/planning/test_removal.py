"""Stopping, starting again and taking down, word for word."""

from __future__ import annotations

from dataclasses import replace

from memory_world import NETWORK, World, project, rolling, stateful, world

from havre.engines.memory import Behaviour
from havre.model.observed import ReplicaState
from havre.model.plan import Plan, RemoveVolume
from havre.model.project import Condition, Dependency, Project
from havre.planning.facts import EdgeFacts
from havre.planning.removal import plan_down, plan_start, plan_stop

POSTGRES = stateful("postgres", "postgres:16")
BACKEND = rolling("backend", "shop/backend:1", "postgres")
SHOP = project(BACKEND, POSTGRES)


def shop() -> World:
    return world(*SHOP.services, led=("backend",))


def down(made: World, wanted: Project | None, *volumes: str) -> Plan:
    return plan_down(made.observe(SHOP), wanted, made.facts(SHOP), volumes=volumes)


def test_down_takes_the_routes_first_and_dependents_before_what_they_need() -> None:
    plan = down(shop(), SHOP)
    assert (
        str(plan)
        == """\
1. remove all routes: the app is taken down
2. drain backend.1: the app is taken down [after 1]
3. stop backend.1: the app is taken down [after 2]
4. remove backend.1: the app is taken down [after 3]
5. stop postgres.1: the app is taken down [after 1, 4]
6. remove postgres.1: the app is taken down [after 5]
7. remove network shop_default: nothing uses it any more [after 4, 6]
note: the volume shop_postgresdata is kept with its data"""
    )


def test_a_volume_goes_only_when_it_is_named() -> None:
    plan = down(shop(), SHOP, "shop_postgresdata")
    assert str(plan.steps[-1]) == "8. remove volume shop_postgresdata: asked for by name; its data is gone [after 4, 6]"
    assert plan.notes == ()


def test_volumes_and_networks_of_others_are_left_alone() -> None:
    made = shop()
    made.engine.add_volume("theirs")
    made.engine.add_network("public")
    plan = down(made, SHOP, "theirs")
    assert not any(isinstance(step.step, RemoveVolume) for step in plan.steps)
    assert "public" not in str(plan)


def test_down_leaves_nothing_but_the_volume() -> None:
    made = shop()
    made.run(down(made, SHOP), SHOP)
    left = made.observe(SHOP)
    assert (left.replicas, left.networks, made.edge.leads_to) == ((), (), {})
    assert made.volumes() == {"shop_postgresdata"}
    assert made.complaints() == ""


def test_down_works_without_any_record_of_the_project() -> None:
    made = shop()
    made.engine.crash("shop", "postgres", 1)
    made.run(down(made, None), SHOP)
    assert made.observe(SHOP).replicas == ()


def test_down_of_what_is_not_there_does_nothing() -> None:
    assert plan_down(World().observe(SHOP), None, EdgeFacts()).is_empty


def test_stopping_a_service_takes_its_route_away_first_and_says_who_misses_it() -> None:
    made = shop()
    plan = plan_stop(made.observe(SHOP), SHOP, made.facts(SHOP), ["backend", "postgres"])
    assert (
        str(plan)
        == """\
1. remove all routes: services are stopped
2. drain backend.1: asked for [after 1]
3. stop backend.1: asked for [after 2]
4. stop postgres.1: asked for [after 1, 3]"""
    )
    only = plan_stop(made.observe(SHOP), SHOP, made.facts(SHOP), ["postgres"])
    assert (
        str(only)
        == """\
1. stop postgres.1: asked for
note: backend keeps running without postgres"""
    )


def test_what_was_stopped_starts_again_in_order_of_need() -> None:
    made = shop()
    made.run(plan_stop(made.observe(SHOP), SHOP, made.facts(SHOP), SHOP.service_names), SHOP)
    plan = plan_start(made.observe(SHOP), SHOP, replace(made.facts(SHOP), now=()), SHOP.service_names)
    assert (
        str(plan)
        == """\
1. start again postgres.1: it was stopped
2. await postgres.1: no traffic before [after 1]
3. start again backend.1: it was stopped [after 2]
4. await backend.1: no traffic before [after 3]
5. route to backend.1: what was stopped runs again [after 2, 4]"""
    )
    made.run(plan, SHOP)
    assert (made.running(), made.edge.leads_to) == (("backend.1", "postgres.1"), {"backend": (1,)})


def test_what_a_started_service_needs_is_started_first() -> None:
    made = shop()
    made.run(plan_stop(made.observe(SHOP), SHOP, made.facts(SHOP), SHOP.service_names), SHOP)
    plan = plan_start(made.observe(SHOP), SHOP, replace(made.facts(SHOP), now=()), ["backend"])
    assert str(plan).splitlines()[:3] == [
        "1. start again postgres.1: backend needs it",
        "2. await postgres.1: no traffic before [after 1]",
        "3. start again backend.1: it was stopped [after 2]",
    ]


def test_starting_what_runs_does_nothing() -> None:
    made = shop()
    assert plan_start(made.observe(SHOP), SHOP, made.facts(SHOP), ["backend"]).is_empty


def test_what_a_failed_release_left_for_inspection_is_not_started_again() -> None:
    made = shop()
    made.engine.behaviour = Behaviour(unhealthy=frozenset({"shop/backend:2"}))
    assert made.deploy(SHOP.with_service(replace(BACKEND, image="shop/backend:2"))) == "undone"
    assert [r.slot for r in made.observe(SHOP).of_service("backend")] == [1, 2]
    assert plan_start(made.observe(SHOP), SHOP, made.facts(SHOP), ["backend"]).is_empty
    made.engine.now += 60
    made.run(plan_stop(made.observe(SHOP), SHOP, made.facts(SHOP), ["backend"]), SHOP)
    plan = plan_start(made.observe(SHOP), SHOP, made.facts(SHOP), ["backend"])
    assert [str(step.step) for step in plan.steps][:1] == ["start again backend.1"]
    assert "backend.2" not in str(plan)


def test_what_the_edge_leads_to_starts_again_even_when_a_failed_release_ended_later() -> None:
    """As after an engine that was killed in the middle of a release: all are down, and the order is chance."""
    made = shop()
    made.engine.behaviour = Behaviour(unhealthy=frozenset({"shop/backend:2"}))
    assert made.deploy(SHOP.with_service(replace(BACKEND, image="shop/backend:2"))) == "undone"
    seen = made.observe(SHOP)
    dead = [replace(one, state=ReplicaState.EXITED, finished_at=100.0 + one.slot) for one in seen.replicas]
    plan = plan_start(replace(seen, replicas=tuple(dead)), SHOP, made.facts(SHOP), SHOP.service_names)
    started = [str(step.step) for step in plan.steps if str(step.step).startswith("start")]
    assert started == ["start again postgres.1", "start again backend.1"]


def test_jobs_and_services_never_deployed_are_not_started() -> None:
    job = rolling("init")
    waiting = replace(BACKEND, needs=(Dependency(service="init", condition=Condition.COMPLETED),))
    wanted = project(job, waiting, rolling("new"))
    made = World()
    assert plan_start(made.observe(wanted), wanted, made.facts(wanted), wanted.service_names).is_empty
    assert NETWORK in wanted.networks
