"""Promises that hold for any project, any state of the server, any order of parallel steps, any fault (I1-I3, I8)."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from memory_world import INSTANCE, Killed, World, project, rolling, stateful

from havre.engines.memory import Behaviour
from havre.model.app import App, Migration, Verification
from havre.model.fingerprint import fingerprint
from havre.model.observed import ObservedReplica
from havre.model.plan import RemoveReplica, RemoveVolume, Step, StopReplica
from havre.model.project import Condition, Dependency, Order, Project, Service, UpdatePolicy
from havre.planning.facts import ordered
from havre.planning.reasons import why_stop_first
from havre.planning.recover import Recovery

NAMES = ("db", "init", "api", "web", "worker")
JOBS = {"init"}
VERIFIED = App(
    name=INSTANCE,
    migration=Migration(service="api", run=("migrate",)),
    verifications=(Verification(),),
)
slow_but_thorough = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@st.composite
def services(draw: st.DrawFn, name: str, earlier: Sequence[str]) -> Service:
    """A service with any image, environment, size, order and dependencies on earlier ones."""
    image = f"{name}:{draw(st.integers(1, 3))}"
    environment = draw(st.sampled_from([(), (("MODE", "a"),), (("MODE", "b"),)]))
    if name in JOBS:
        return rolling(name, image, environment=environment)
    make = draw(st.sampled_from([rolling, stateful]))
    order = draw(st.sampled_from([None, None, Order.START_FIRST, Order.STOP_FIRST]))
    needs = []
    for other in earlier:
        condition = draw(st.sampled_from([None, Condition.STARTED, Condition.HEALTHY]))
        if other in JOBS:
            condition = Condition.COMPLETED
        if condition is not None:
            needs.append(Dependency(service=other, condition=condition, restart=draw(st.booleans())))
    return make(
        name,
        image,
        environment=environment,
        replicas=draw(st.integers(0, 3)),
        update=UpdatePolicy(order=order, parallelism=draw(st.integers(0, 2))),
        needs=tuple(needs),
    )


@st.composite
def projects(draw: st.DrawFn) -> Project:
    """Some of five services, in any order in the file."""
    names = [name for name in NAMES if draw(st.integers(0, 3))]
    if names == ["init"] or not names:
        names = ["api"]
    if names[-1] == "init":
        names.remove("init")
    found = [draw(services(name, names[:at])) for at, name in enumerate(names)]
    return project(*draw(st.permutations(found)))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A server on which up to three releases were tried, some of which failed, and some replicas died."""
    app = draw(st.sampled_from([None, VERIFIED]))
    picks = draw(st.lists(st.integers(0, 10_000), min_size=1, max_size=12))
    turns = iter(range(10**9))
    world = World(led=draw(st.frozensets(st.sampled_from([n for n in NAMES if n not in JOBS]))), app=app)
    world.choose = lambda ready: ready[picks[next(turns) % len(picks)] % len(ready)]
    for wanted in draw(st.lists(projects(), max_size=2)):
        if draw(st.booleans()):
            world.engine.behaviour.fail_at = len(world.engine.performed) + draw(st.integers(1, 12))
        world.deploy(wanted)
        world.engine.behaviour.fail_at = None
        world.edge.complaints.clear()
    return world


def lose_some(world: World, data: st.DataObject) -> None:
    """Replicas that the edge does not lead to die by themselves; those that it leads to would be a fault of theirs."""
    for replica in world.engine.observe(INSTANCE).replicas:
        if replica.is_running and replica.service not in world.led and data.draw(st.booleans()):
            world.engine.crash(INSTANCE, replica.service, replica.slot)


def left_to_do(world: World, wanted: Project) -> str:
    """The steps that a further deploy would take."""
    return "\n".join(map(str, world.propose(wanted).steps))


def matching(world: World, service: Service) -> list[ObservedReplica]:
    """Running replicas that are exactly what `service` asks for, by slot."""
    observed = world.observe(project(service))
    image = observed.image(service.image)
    return [
        replica
        for replica in observed.of_service(service.name)
        if replica.is_running and image is not None and image.id == replica.image_id
        and replica.fingerprint == fingerprint(service)
    ]  # fmt: skip


@slow_but_thorough
@given(world=worlds(), wanted=projects(), data=st.data())
def test_any_deploy_from_any_state_converges(world: World, wanted: Project, data: st.DataObject) -> None:
    lose_some(world, data)
    assert world.deploy(wanted) == "serves"
    assert left_to_do(world, wanted) == ""
    names = {service.name: service.replicas for service in wanted.services if service.name not in wanted.jobs}
    assert sorted(world.running()) == sorted(
        f"{r.service}.{r.slot}" for name in names for r in matching(world, wanted.service(name))
    )
    assert {name: len(matching(world, wanted.service(name))) for name in names} == names
    assert world.edge.held == set()


@slow_but_thorough
@given(world=worlds(), wanted=projects())
def test_no_route_ever_points_at_a_stopped_or_unproven_replica(world: World, wanted: Project) -> None:
    assert world.deploy(wanted) == "serves"
    assert world.complaints() == ""


@slow_but_thorough
@given(world=worlds(), wanted=projects())
def test_a_healthy_wanted_replica_is_never_stopped(world: World, wanted: Project) -> None:
    replaced = {s.name for s in wanted.services for n in s.needs if n.restart}
    plan = world.propose(wanted)
    let_go = {(s.step.service, s.step.slot) for s in plan.steps if isinstance(s.step, StopReplica | RemoveReplica)}
    for service in wanted.services:
        if service.name in wanted.jobs | replaced:
            continue
        good = {(service.name, replica.slot) for replica in matching(world, service)[: service.replicas]}
        assert not good & let_go, str(plan)


@slow_but_thorough
@given(world=worlds(), wanted=projects())
def test_a_rolling_replica_is_stopped_only_when_all_new_ones_are_proven(world: World, wanted: Project) -> None:
    def look(step: Step) -> None:
        if not isinstance(step, StopReplica) or step.service not in wanted.service_names:
            return
        service = wanted.service(step.service)
        if why_stop_first(service) or service.name in wanted.jobs:
            return
        proven = [r for r in matching(world, service) if (r.service, r.slot) in world.edge.proven]
        assert len(proven) >= service.replicas

    world.seen.append(look)
    assert world.deploy(wanted) == "serves"


@slow_but_thorough
@given(world=worlds(), wanted=projects())
def test_two_versions_of_a_stop_first_service_never_run_at_once(world: World, wanted: Project) -> None:
    careful = {service.name for service in wanted.services if why_stop_first(service)}

    def look() -> None:
        for name in careful:
            made = {
                (r.fingerprint, r.image_id) for r in world.engine.observe(INSTANCE).of_service(name) if r.is_running
            }
            assert len(made) < 2, made

    assume(all(len({r.image_id + r.fingerprint for r in world.observe(wanted).of_service(n)}) < 2 for n in careful))
    world.engine.watchers.append(look)
    assert world.deploy(wanted) == "serves"


@slow_but_thorough
@given(world=worlds(), wanted=projects(), at=st.integers(1, 40), late=st.booleans())
def test_a_failed_release_leaves_everything_as_it_was(world: World, wanted: Project, at: int, late: bool) -> None:
    before, led, volumes = world.running(), dict(world.edge.leads_to), world.volumes()
    world.engine.behaviour.fail_at = len(world.engine.performed) + at
    world.engine.behaviour.fail_late = late
    result = world.deploy(wanted)
    world.engine.behaviour.fail_at = None
    assert world.complaints() == ""
    assert world.edge.held == set()
    assert world.volumes() >= volumes
    if result == "undone":
        assert (world.running(), world.edge.leads_to) == (before, led)
    else:
        assert left_to_do(world, wanted) == ""
    assert world.deploy(wanted) == "serves"
    assert left_to_do(world, wanted) == ""


@slow_but_thorough
@given(world=worlds(), wanted=projects(), data=st.data())
def test_a_release_that_never_gets_healthy_changes_nothing(world: World, wanted: Project, data: st.DataObject) -> None:
    before, led = world.running(), dict(world.edge.leads_to)
    broken = data.draw(st.sampled_from(wanted.services))
    new = replace(broken, image=f"{broken.name}:broken")
    fault = data.draw(st.sampled_from(["unhealthy", "exits"]))
    if fault == "unhealthy":
        world.engine.behaviour = Behaviour(unhealthy=frozenset({new.image}))
    else:
        world.engine.behaviour = Behaviour(exits={new.image: 3})
    if world.deploy(wanted.with_service(new)) == "serves":
        assert new.replicas == 0 or new.name in wanted.jobs
        return
    assert world.complaints() == ""
    assert (world.running(), world.edge.leads_to) == (before, led)


@slow_but_thorough
@given(world=worlds(), wanted=projects())
def test_a_release_that_fails_verification_is_undone_whole(world: World, wanted: Project) -> None:
    before, led = world.running(), dict(world.edge.leads_to)
    world.verify_fails = True
    if world.deploy(wanted) == "serves":
        assert not any(entry.kind == "Verify" for entry in world.journal.values())
        return
    assert world.complaints() == ""
    assert (world.running(), world.edge.leads_to) == (before, led)


@slow_but_thorough
@given(world=worlds(), wanted=projects(), at=st.integers(0, 40), late=st.booleans())
def test_killed_at_any_step_the_next_command_finishes_or_undoes(
    world: World, wanted: Project, at: int, late: bool
) -> None:
    before, led, volumes = world.running(), dict(world.edge.leads_to), world.volumes()
    try:
        world.deploy(wanted, kill_at=at, kill_late=late)
    except Killed:
        way = world.recover(wanted)
    else:
        return
    assert world.complaints() == ""
    assert world.edge.held == set()
    assert world.volumes() >= volumes
    if way is Recovery.UNDO:
        assert (world.running(), world.edge.leads_to) == (before, led)
    else:
        assert left_to_do(world, wanted) == ""
    assert world.deploy(wanted) == "serves"
    assert left_to_do(world, wanted) == ""


@slow_but_thorough
@given(world=worlds(), wanted=projects(), at=st.integers(0, 20), again=st.integers(0, 10), late=st.booleans())
def test_killed_while_it_recovers_it_recovers_all_the_same(
    world: World, wanted: Project, at: int, again: int, late: bool
) -> None:
    before, led = world.running(), dict(world.edge.leads_to)
    with contextlib.suppress(Killed):
        world.deploy(wanted, kill_at=at, kill_late=late)
        return
    try:
        first = world.recover(wanted, kill_at=again)
    except Killed:
        first = None
    way = first or world.recover(wanted)
    assert world.complaints() == ""
    if way is Recovery.UNDO:
        assert (world.running(), world.edge.leads_to) == (before, led)
    else:
        assert left_to_do(world, wanted) == ""


@slow_but_thorough
@given(world=worlds(), wanted=projects(), data=st.data())
def test_restarting_and_scaling_drop_no_request_either(world: World, wanted: Project, data: st.DataObject) -> None:
    assert world.deploy(wanted) == "serves"
    names = [name for name in wanted.service_names if name not in wanted.jobs]
    force = data.draw(st.lists(st.sampled_from(names), unique=True))
    scale = data.draw(st.dictionaries(st.sampled_from(names), st.integers(0, 4)))
    old = {r.id for r in world.engine.observe(INSTANCE).replicas if r.service in force}
    assert world.deploy(wanted, force=force, scale=scale) == "serves"
    assert world.complaints() == ""
    assert world.propose(wanted, scale=scale).is_empty
    running = [r for r in world.engine.observe(INSTANCE).replicas if r.is_running]
    counts = {name: sum(r.service == name for r in running) for name in names}
    assert counts == {name: scale.get(name, wanted.service(name).replicas) for name in names}
    assert not {r.id for r in running if r.service in force} & old


@slow_but_thorough
@given(world=worlds(), wanted=projects())
def test_no_plan_removes_a_volume(world: World, wanted: Project) -> None:
    assert not [step for step in world.propose(wanted).steps if isinstance(step.step, RemoveVolume)]


@slow_but_thorough
@given(world=worlds(), wanted=projects(), data=st.data())
def test_the_text_of_a_plan_does_not_depend_on_the_order_of_what_is_observed(
    world: World, wanted: Project, data: st.DataObject
) -> None:
    from havre.planning.rollout import plan_rollout

    observed = world.observe(wanted)
    shuffled = replace(
        observed,
        replicas=tuple(data.draw(st.permutations(observed.replicas))),
        images=tuple(data.draw(st.permutations(observed.images))),
        volumes=tuple(data.draw(st.permutations(observed.volumes))),
    )
    facts = world.facts(wanted)
    other = replace(facts, now=tuple(data.draw(st.permutations(facts.now))), routed=frozenset(sorted(facts.routed)))
    one = plan_rollout(wanted, observed, app=world.app, edge=facts, files={})
    two = plan_rollout(wanted, shuffled, app=world.app, edge=other, files={})
    assert str(one) == str(two)
    assert ordered(facts.now) == ordered(other.now)


@slow_but_thorough
@given(world=worlds(), wanted=projects())
def test_steps_wait_only_for_steps_before_them(world: World, wanted: Project) -> None:
    plan = world.propose(wanted)
    assert [step.number for step in plan.steps] == list(range(1, len(plan.steps) + 1))
    assert all(number < step.number for step in plan.steps for number in step.after)
    with pytest.raises(KeyError):
        wanted.service("nobody")
