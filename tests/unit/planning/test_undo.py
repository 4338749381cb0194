"""How failed, cut and regretted releases are taken back, word for word."""

from __future__ import annotations

from dataclasses import replace

from memory_world import World, project, rolling, stateful, world

from havre.engines.memory import Behaviour
from havre.model.app import App, Migration, Verification
from havre.model.plan import Phase, Plan
from havre.model.project import Project
from havre.model.release import JournalEntry, StepState
from havre.planning.recover import Interrupted, Recovery, decide, plan_finish, plan_undo_interrupted
from havre.planning.removal import plan_start, plan_stop
from havre.planning.undo import is_past_return, plan_undo

POSTGRES = stateful("postgres", "postgres:16")
BACKEND = rolling("backend", "shop/backend:1", "postgres")
SHOP = (BACKEND, POSTGRES)
LED = ("backend", "postgres")
NEW = project(replace(BACKEND, image="shop/backend:2"), replace(POSTGRES, image="postgres:17"))
VERIFIED = App(name="shop", verifications=(Verification(),))


def cut(made: World, wanted: Project, plan: Plan, done: int) -> None:
    """Run the first `done` steps of `plan` as a release, and have them journalled as done."""
    made.begin()
    kept = tuple(step for step in plan.steps if step.number <= done)
    made.run(replace(plan, steps=kept), wanted)
    for step in plan.steps[done:]:
        made.journal[step.number] = JournalEntry(
            release=made.release,
            number=step.number,
            kind=type(step.step).__name__,
            text=str(step.step),
            phase=int(step.phase),
            state=StepState.PENDING,
        )


def interrupted(made: World) -> Interrupted:
    entries = tuple(made.journal.values())
    return Interrupted(release=made.release, entries=entries, targets_before=made.before, met=made.met())


def test_before_the_switch_the_old_database_returns_and_what_failed_is_kept() -> None:
    made = world(*SHOP, led=LED, behaviour=Behaviour(unhealthy=frozenset({"shop/backend:2"})))
    plan = made.propose(NEW)
    made.begin()
    undo = plan_undo(plan, made.run(plan, NEW), made.observe(NEW), before=made.served)
    assert (
        str(undo)
        == """\
1. hold requests for postgres, at most 15 s: until the old one serves again
2. drain postgres.2: the release is undone [after 1]
3. hold requests for backend, which calls postgres, at most 15 s: until the old one serves again [after 2]
4. stop postgres.2: the release is undone [after 3]
5. start again postgres.1: it served before the release [after 4]
6. await postgres.1: no traffic before [after 5]
7. route to backend.1, postgres.1: where it led before the release [after 6]
8. stop backend.2: the release is undone [after 7]
9. remove postgres.2: the release is undone [after 7]
note: backend.2 is kept for inspection: `havre logs --failed backend`"""
    )


BACKEND_ALONE = ("backend",)
OTHER_POSTGRES = project(BACKEND, replace(POSTGRES, image="postgres:17"))
CALLERS_WAIT = """\
1. hold requests for backend, which calls postgres, at most 15 s: until the old one serves again
2. stop postgres.2: the release is undone [after 1]
3. start again postgres.1: it served before the release [after 2]
4. await postgres.1: no traffic before [after 3]
5. route to backend.1: where it led before the release [after 4]
"""


def test_what_calls_a_database_that_nothing_leads_to_waits_until_the_old_one_is_back() -> None:
    made = world(*SHOP, led=BACKEND_ALONE, behaviour=Behaviour(unhealthy=frozenset({"postgres:17"})))
    plan = made.propose(OTHER_POSTGRES)
    assert "route to" not in str(plan)
    made.begin()
    undo = plan_undo(plan, made.run(plan, OTHER_POSTGRES), made.observe(OTHER_POSTGRES), before=made.served)
    assert str(undo).startswith(CALLERS_WAIT)


def test_a_crash_while_callers_wait_is_undone_while_they_wait() -> None:
    made = world(*SHOP, led=BACKEND_ALONE)
    cut(made, OTHER_POSTGRES, made.propose(OTHER_POSTGRES), 4)
    assert made.edge.held == {"backend"}
    undo = plan_undo_interrupted(interrupted(made), made.observe(OTHER_POSTGRES), before=made.served)
    assert str(undo).startswith(CALLERS_WAIT)
    made.run(undo, OTHER_POSTGRES)
    assert (made.edge.held, made.edge.leads_to) == (set(), {"backend": (1,)})


def test_a_crash_just_after_callers_were_held_ends_the_hold() -> None:
    made = world(*SHOP, led=BACKEND_ALONE)
    cut(made, OTHER_POSTGRES, made.propose(OTHER_POSTGRES), 2)
    undo = plan_undo_interrupted(interrupted(made), made.observe(OTHER_POSTGRES), before=made.served)
    assert str(undo) == "1. route to backend.1: where it led before the release"


def test_after_the_switch_traffic_goes_back_first_and_the_new_are_kept() -> None:
    made = world(BACKEND, led=("backend",), app=VERIFIED)
    made.verify_fails = True
    wanted = project(replace(BACKEND, image="shop/backend:2"))
    plan = made.propose(wanted)
    made.begin()
    undo = plan_undo(plan, made.run(plan, wanted), made.observe(wanted), before=made.served)
    assert (
        str(undo)
        == """\
1. route to backend.1: where it led before the release
2. drain backend.2: the release is undone [after 1]
3. stop backend.2: the release is undone [after 2]
note: backend.2 is kept for inspection: `havre logs --failed backend`"""
    )


def test_a_failed_first_release_leaves_no_network_but_its_volume() -> None:
    made = World(led=frozenset(LED))
    made.engine.behaviour = Behaviour(exits={"shop/backend:1": 1})
    wanted = project(*SHOP)
    plan = made.propose(wanted)
    made.begin()
    undo = plan_undo(plan, made.run(plan, wanted), made.observe(wanted))
    assert undo.notes == ("backend.1 is kept for inspection: `havre logs --failed backend`",)
    made.run(undo, wanted)
    assert made.running() == ()
    assert made.volumes() == {"shop_postgresdata"}
    assert made.observe(wanted).network("shop_default") is None


def test_a_migration_that_ran_is_said_to_stay() -> None:
    app = App(name="shop", migration=Migration(service="backend", run=("migrate",)))
    made = world(*SHOP, app=app, behaviour=Behaviour(unhealthy=frozenset({"shop/backend:2"})))
    wanted = project(replace(BACKEND, image="shop/backend:2"), POSTGRES)
    plan = made.propose(wanted)
    made.begin()
    undo = plan_undo(plan, made.run(plan, wanted), made.observe(wanted))
    assert "the migration was begun: the database keeps what it changed" in undo.notes


def test_without_the_former_project_the_new_definition_proves_the_old_replica() -> None:
    made = world(POSTGRES, behaviour=Behaviour(unhealthy=frozenset({"postgres:17"})))
    wanted = project(replace(POSTGRES, image="postgres:17", stop_grace=33.0))
    plan = made.propose(wanted)
    made.begin()
    undo = plan_undo(plan, made.run(plan, wanted), made.observe(wanted))
    assert [str(step.step) for step in undo.steps] == ["stop postgres.2", "start again postgres.1", "await postgres.1"]


def test_what_was_never_begun_needs_no_undoing() -> None:
    made = world(*SHOP, led=LED)
    plan = made.propose(NEW)
    assert plan_undo(plan, {}, made.observe(NEW)).is_empty


def test_once_old_replicas_go_what_is_left_is_finished() -> None:
    made = world(BACKEND, led=("backend",))
    wanted = project(replace(BACKEND, image="shop/backend:2"))
    plan = made.propose(wanted)
    states = {step.number: StepState.DONE if step.number < 6 else StepState.PENDING for step in plan.steps}
    states[6] = StepState.FAILED
    assert is_past_return(plan, states)
    assert (
        str(plan_undo(plan, states, made.observe(wanted)))
        == """\
1. stop backend.1: replaced by backend.2
2. remove backend.1: replaced by backend.2 [after 1]
note: the release is verified and serves: what is left is finished, not undone"""
    )


def test_a_release_cut_before_its_switch_is_undone_from_the_journal() -> None:
    made = world(*SHOP, led=LED)
    plan = made.propose(NEW)
    cut(made, NEW, plan, 7)
    assert str(plan.steps[6].step) == "start postgres.2"
    found = interrupted(made)
    assert decide(found.entries) is Recovery.UNDO
    assert (
        str(plan_undo_interrupted(found, made.observe(NEW), before=made.served))
        == """\
1. hold requests for postgres, at most 15 s: until the old one serves again
2. drain postgres.2: the release is undone [after 1]
3. hold requests for backend, which calls postgres, at most 15 s: until the old one serves again [after 2]
4. stop postgres.2: the release is undone [after 3]
5. start again postgres.1: it served before the release [after 4]
6. await postgres.1: no traffic before [after 5]
7. route to backend.1, postgres.1: where it led before the release [after 6]
8. remove postgres.2: the release is undone [after 7]"""
    )


def test_without_the_former_project_recovery_starts_again_unproven_and_switches_nothing() -> None:
    made = world(POSTGRES)
    wanted = project(replace(POSTGRES, image="postgres:17"))
    cut(made, wanted, made.propose(wanted), 2)
    undo = plan_undo_interrupted(interrupted(made), made.observe(wanted))
    assert str(undo) == "1. start again postgres.1: it served before the release"


def test_a_first_release_cut_short_leaves_no_network() -> None:
    made = World(led=frozenset(LED))
    wanted = project(*SHOP)
    cut(made, wanted, made.propose(wanted), 5)
    undo = plan_undo_interrupted(interrupted(made), made.observe(wanted))
    assert [str(step.step) for step in undo.steps] == [
        "stop postgres.1", "remove postgres.1", "remove network shop_default",
    ]  # fmt: skip


def test_a_release_cut_after_its_switch_is_verified_and_finished() -> None:
    made = world(BACKEND, led=("backend",), app=VERIFIED)
    wanted = project(replace(BACKEND, image="shop/backend:2"))
    cut(made, wanted, made.propose(wanted), 4)
    found = interrupted(made)
    assert decide(found.entries) is Recovery.FINISH
    finish = plan_finish(found, wanted, made.observe(wanted), app=VERIFIED, edge=made.facts(wanted), files={})
    assert [str(step) for step in finish.steps[:2]] == [
        "1. verify through the edge (1 check): the release was cut short before it",
        "2. drain backend.1: image changed [after 1]",
    ]
    assert finish.steps[1].after == (1,)


def test_a_release_cut_after_it_was_verified_only_lets_go() -> None:
    made = world(BACKEND, led=("backend",), app=VERIFIED)
    wanted = project(replace(BACKEND, image="shop/backend:2"))
    cut(made, wanted, made.propose(wanted), 5)
    found = interrupted(made)
    finish = plan_finish(found, wanted, made.observe(wanted), app=VERIFIED, edge=made.facts(wanted), files={})
    assert [str(step.step) for step in finish.steps] == ["drain backend.1", "stop backend.1", "remove backend.1"]


def test_finishing_keeps_the_notes_of_the_plan() -> None:
    made = world(BACKEND, POSTGRES, led=("backend",), app=VERIFIED)
    wanted = project(replace(BACKEND, image="shop/backend:2", needs=()))
    cut(made, wanted, made.propose(wanted), 4)
    finish = plan_finish(
        interrupted(made), wanted, made.observe(wanted), app=VERIFIED, edge=made.facts(wanted), files={}
    )
    assert finish.steps[0].phase is Phase.VERIFY
    assert any("shop_postgresdata" in note for note in finish.notes)


def entry(phase: Phase, state: StepState) -> JournalEntry:
    return JournalEntry(release=1, number=1, kind="", text="", phase=phase, state=state)


def test_what_failed_or_was_stopped_by_the_user_is_undone_even_after_the_switch() -> None:
    done = [entry(Phase.START, StepState.DONE), entry(Phase.SWITCH, StepState.DONE)]
    assert decide(done) is Recovery.FINISH
    assert decide([*done, entry(Phase.VERIFY, StepState.FAILED)]) is Recovery.UNDO
    assert decide([*done, entry(Phase.VERIFY, StepState.SKIPPED)]) is Recovery.UNDO


def test_once_anything_old_goes_a_release_is_finished_whatever_else_is_pending() -> None:
    assert decide([entry(Phase.START, StepState.PENDING), entry(Phase.RETIRE, StepState.STARTED)]) is Recovery.FINISH
    assert decide([entry(Phase.START, StepState.DONE), entry(Phase.SWITCH, StepState.STARTED)]) is Recovery.UNDO
    assert decide([]) is Recovery.UNDO


def halted(made: World, plan: Plan, done: int) -> Interrupted:
    cut(made, project(*SHOP), plan, done)
    return interrupted(made)


def test_a_stop_cut_short_goes_on_stopping_and_starts_nothing() -> None:
    made, wanted = world(*SHOP, led=LED), project(*SHOP)
    plan = plan_stop(made.observe(wanted), wanted, made.facts(wanted), ["backend", "postgres"])
    found = replace(halted(made, plan, 3), kind="stop")
    assert decide(found.entries) is Recovery.FINISH
    finish = plan_finish(found, wanted, made.observe(wanted), app=None, edge=made.facts(wanted), files={})
    assert [str(step.step) for step in finish.steps] == ["drain postgres.1", "stop postgres.1"]


def test_a_start_cut_short_stops_again_what_it_started() -> None:
    made, wanted = world(*SHOP, led=LED), project(*SHOP)
    made.run(plan_stop(made.observe(wanted), wanted, made.facts(wanted), ["backend", "postgres"]), wanted)
    plan = plan_start(made.observe(wanted), wanted, made.facts(wanted), ["backend", "postgres"])
    found = replace(halted(made, plan, 3), kind="start")
    assert decide(found.entries) is Recovery.UNDO
    undo = plan_undo_interrupted(found, made.observe(wanted), before=made.served)
    assert [str(step.step) for step in undo.steps] == ["stop backend.1", "stop postgres.1"]


def test_a_start_that_fails_stops_again_what_it_started() -> None:
    made, wanted = world(*SHOP, led=LED), project(*SHOP)
    made.run(plan_stop(made.observe(wanted), wanted, made.facts(wanted), ["backend", "postgres"]), wanted)
    made.engine.behaviour = Behaviour(exits={"backend": 1})
    plan = plan_start(made.observe(wanted), wanted, made.facts(wanted), ["backend", "postgres"])
    undo = plan_undo(plan, made.run(plan, wanted), made.observe(wanted), before=made.served)
    assert [str(step.step) for step in undo.steps] == ["stop postgres.1"]


def test_a_network_that_is_gone_already_needs_no_removal() -> None:
    made = World()
    made.engine.behaviour.fail_at = 3
    plan = made.propose(project(*SHOP))
    states = made.run(plan, project(*SHOP))
    assert str(plan.steps[2].step) == "create network shop_default"
    assert plan_undo(plan, states, made.observe(project(*SHOP))).is_empty


def test_only_replicas_that_live_are_stopped_before_their_successors() -> None:
    made = world(replace(POSTGRES, replicas=2))
    made.engine.crash("shop", "postgres", 1)
    plan = made.propose(project(replace(POSTGRES, image="postgres:17", replicas=2)))
    assert [str(step.step) for step in plan.steps if str(step.step).startswith("stop")] == ["stop postgres.2"]
