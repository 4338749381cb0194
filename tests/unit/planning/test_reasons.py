"""Why replicas are replaced, and why some must stop first: one readable text for each cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle

import pytest
from memory_world import World, project, rolling, stateful, world

from havre.model.app import App, Migration, Verification
from havre.model.backup import BackupPolicy
from havre.model.fingerprint import fingerprint
from havre.model.health import HealthCheck, HealthState
from havre.model.observed import Observed, ObservedImage, ObservedReplica, ObservedVolume, ReplicaState
from havre.model.plan import Phase, Plan, PlannedStep, Safeguard
from havre.model.project import (
    Attachment,
    Build,
    Condition,
    Dependency,
    Mount,
    MountKind,
    Order,
    Port,
    Service,
    UpdatePolicy,
)
from havre.model.units import enumerated
from havre.planning.facts import EdgeFacts
from havre.planning.reasons import counted, interruption, why_stop_first
from havre.planning.rollout import plan_rollout

WEB = rolling("web")
POSTGRES = stateful("postgres", "postgres:16")
BACKEND = rolling("backend", "shop/backend:1", "postgres")


def replica(**changes: object) -> ObservedReplica:
    """web.1 as `WEB` asks for it."""
    known = ObservedReplica(
        service="web", slot=1, id="i", name="n", state=ReplicaState.RUNNING,
        fingerprint=fingerprint(WEB), image_id="sha256:1", image=WEB.image,
    )  # fmt: skip
    return replace(known, **changes)  # type: ignore[arg-type]


def reason(service: Service, *replicas: ObservedReplica, image: str | None = "sha256:1", **options: object) -> str:
    """Why the first replica of `service` starts; empty when none does."""
    images = (ObservedImage(reference=service.image, id=image),) if image else ()
    observed = Observed(instance="shop", replicas=replicas, images=images)
    options.setdefault("files", {})
    plan = plan_rollout(project(service), observed, app=None, edge=EdgeFacts(), **options)  # type: ignore[arg-type]
    return next((step.reason for step in plan.steps if str(step.step).startswith("start")), "")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, ""),
        ({"health": HealthState.HEALTHY}, ""),
        ({"health": HealthState.UNVERIFIED}, ""),
        ({"health": HealthState.UNHEALTHY}, "replica is unhealthy"),
        ({"state": ReplicaState.CREATED}, "replica never started"),
        ({"state": ReplicaState.PAUSED}, "replica is paused"),
        ({"state": ReplicaState.RESTARTING}, "replica keeps restarting"),
        ({"state": ReplicaState.EXITED}, "replica exited"),
        ({"state": ReplicaState.EXITED, "exit_code": 137}, "replica exited (137)"),
        ({"state": ReplicaState.EXITED, "exit_code": 137, "oom_killed": True}, "replica exited (137, out of memory)"),
        ({"image_id": "sha256:0"}, "image changed"),
        ({"fingerprint": "v0 command=1"}, "made by another version of Havre"),
    ],
)
def test_a_replica_is_replaced_for_a_reason_and_kept_without(changes: dict[str, object], text: str) -> None:
    assert reason(WEB, replica(**changes)) == text


@pytest.mark.parametrize(
    ("service", "text"),
    [
        (replace(WEB, environment=(("A", "b"),)), "environment changed"),
        (replace(WEB, health=HealthCheck(test=("true",))), "health check changed"),
        (replace(WEB, working_dir="/srv", user="app"), "user and working dir changed"),
        (
            replace(WEB, tty=True, user="app", mounts=(Mount(kind=MountKind.TMPFS, target="/t"),)),
            "volumes, tty and user changed",
        ),
        (replace(WEB, build=Build(context="/src")), ""),
    ],
)
def test_the_reason_names_what_changed(service: Service, text: str) -> None:
    assert reason(service, replica()) == text


def test_new_sources_new_files_and_missing_replicas_are_named() -> None:
    assert reason(replace(WEB, build=Build(context="/src")), replica(image_id="sha256:0")) == "sources changed"
    assert reason(WEB, replica(), files={"web": (("/etc/web.conf", "abc"),)}) == "configuration files changed"
    assert reason(replace(WEB, replicas=3), replica()) == "replica 2 of 3 missing"
    assert reason(WEB) == "first release"
    assert reason(WEB, replica(), force=("web",)) == "asked for"


def test_an_image_that_is_not_here_replaces_only_what_runs_another() -> None:
    assert reason(WEB, replica(), image=None) == ""
    assert reason(replace(WEB, image="web:2"), replica(), image=None) == "image changed"


@pytest.mark.parametrize(
    ("service", "why"),
    [
        (WEB, ""),
        (replace(WEB, update=UpdatePolicy(order=Order.STOP_FIRST)), "its update_config says so"),
        (POSTGRES, "it writes the volume postgresdata"),
        (replace(POSTGRES, update=UpdatePolicy(order=Order.START_FIRST)), ""),
        (
            replace(WEB, mounts=(Mount(kind=MountKind.BIND, target="/d", source="/srv/d"),)),
            "it writes the directory /srv/d",
        ),
        (replace(WEB, mounts=(Mount(kind=MountKind.BIND, target="/d", source="/srv/d", read_only=True),)), ""),
        (replace(WEB, network_mode="host"), "it uses the network of host"),
        (replace(WEB, network_mode="service:vpn"), "it uses the network of vpn"),
        (replace(WEB, network_mode="bridge"), ""),
        (
            replace(WEB, networks=(Attachment(network="a"), Attachment(network="b", ipv4_address="10.0.0.5"))),
            "it has the fixed address 10.0.0.5",
        ),
        (replace(WEB, ports=(Port(target=53, published="53", protocol="udp"),)), "it publishes 53/udp itself"),
        (replace(WEB, ports=(Port(target=80, published="80"), Port(target=53, protocol="udp"))), ""),
    ],
)
def test_a_service_is_stop_first_exactly_when_two_of_it_cannot_be(service: Service, why: str) -> None:
    assert why_stop_first(service) == why


def test_the_interruption_is_told_in_seconds() -> None:
    slow = replace(POSTGRES, stop_grace=30.0, health=HealthCheck(test=("true",), interval=10, timeout=5, retries=3))
    told = "postgres is stop-first, it writes the volume postgresdata: about 3 s without it, at most 1 min 15 s; "
    assert interruption(slow, waiting=["postgres"], limit=80) == f"{told}requests for postgres wait"
    quick = replace(POSTGRES, stop_grace=0.0)
    bare = interruption(quick, waiting=(), limit=15)
    assert bare.endswith(": about 2 s without it, at most 2 s; calls to it fail")


@pytest.mark.parametrize(
    ("waiting", "told"),
    [
        (["postgres"], "requests for postgres wait at most 15 s, then they fail"),
        (["postgres", "web"], "requests for postgres and web wait at most 15 s, then web goes on without it"),
        (["api", "web"], "requests for api and web wait at most 15 s, then api and web go on without it"),
    ],
)
def test_what_may_take_longer_than_requests_wait_says_what_then(waiting: list[str], told: str) -> None:
    slow = replace(POSTGRES, stop_grace=30.0)
    assert interruption(slow, waiting=waiting, limit=15).endswith(f"at most 30 s; {told}")


def test_words_are_joined_as_people_do() -> None:
    assert [enumerated(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert (counted(1, "check"), counted(2, "check")) == ("1 check", "2 checks")


def test_a_service_is_replaced_together_with_what_it_asks_to_be_restarted_with() -> None:
    tied = replace(BACKEND, needs=(Dependency(service="postgres", restart=True),))
    made = world(tied, POSTGRES)
    plan = made.propose(project(tied, replace(POSTGRES, image="postgres:17")))
    assert "start backend.2: postgres is replaced" in str(plan)
    assert "backend" not in str(made.propose(project(tied, replace(POSTGRES, replicas=0))))


def test_a_service_follows_the_one_whose_network_it_uses() -> None:
    vpn, guest = rolling("vpn"), replace(rolling("guest"), network_mode="service:vpn", networks=())
    made = world(vpn, guest)
    plan = made.propose(project(replace(vpn, image="vpn:2"), guest))
    assert "start guest.2: vpn is replaced" in str(plan)


def test_a_dependency_outside_the_project_is_not_waited_for() -> None:
    optional = replace(WEB, needs=(Dependency(service="elsewhere", required=False),))
    plan = World().propose(project(optional), app=App(name="shop", migration=Migration(service="web", run=("m",))))
    assert "start web.1" in str(plan)


def test_what_only_must_have_started_is_not_waited_for_until_healthy() -> None:
    eager = replace(WEB, needs=(Dependency(service="postgres", condition=Condition.STARTED),))
    plan = World().propose(project(eager, POSTGRES))
    numbers = {str(step.step): step for step in plan.steps}
    assert numbers["start postgres.1"].number in numbers["start web.1"].after
    assert numbers["await postgres.1"].number not in numbers["start web.1"].after


# -- snapshots and migrations ----------------------------------------------------------------------------------------


def migrating(**options: object) -> App:
    migration = Migration(service="backend", run=("m",), **options)  # type: ignore[arg-type]
    return App(name="shop", migration=migration, backups=(BackupPolicy(service="postgres"),))


def snapshots(plan: Plan) -> list[str]:
    return [str(step) for step in plan.steps if isinstance(step.step, Safeguard)]


def test_data_of_a_database_that_does_not_run_is_snapshot_once_it_does() -> None:
    made = World()
    made.engine.add_volume("shop_postgresdata", instance="shop")
    plan = made.propose(project(BACKEND, POSTGRES), app=migrating())
    assert snapshots(plan) == ["6. snapshot postgres: before backend's migration may change them [after 1, 2, 5]"]


def test_a_database_that_runs_is_snapshot_before_it_is_replaced_itself() -> None:
    made = world(BACKEND, POSTGRES)
    wanted = project(replace(BACKEND, image="shop/backend:2"), replace(POSTGRES, image="postgres:17"))
    plan = made.propose(wanted, app=migrating())
    assert [str(step.step) for step in plan.steps[:5]] == [
        "pull postgres:17", "pull shop/backend:2", "snapshot postgres", "stop postgres.1", "start postgres.2",
    ]  # fmt: skip
    assert 3 in plan.steps[3].after


def test_nothing_starts_or_is_held_beside_a_snapshot_for_which_services_may_stand_still() -> None:
    """Requests are held meanwhile; whoever moves the edge's routes then would end that hold, or lose its own."""
    cache, queue = rolling("cache"), stateful("queue")
    backend = replace(BACKEND, needs=(*BACKEND.needs, Dependency(service="cache"), Dependency(service="queue")))
    newer = (replace(backend, image="shop/backend:2"), cache, replace(queue, image="queue:2"))
    runs, gone = world(backend, POSTGRES, queue), world(backend, queue)
    gone.engine.add_volume("shop_postgresdata", instance="shop")
    for made in (runs, gone):
        steps = made.propose(project(POSTGRES, *newer), app=migrating()).steps
        (snapshot,) = (step for step in steps if isinstance(step.step, Safeguard))
        early = [step for step in steps if step.phase is Phase.START and step.number < snapshot.number]
        late = [step for step in steps if step.phase is Phase.START and step.number > snapshot.number]
        assert all(_waits(steps, snapshot.number, step.number) for step in early), made
        assert all(_waits(steps, step.number, snapshot.number) for step in late), made


def _waits(steps: Sequence[PlannedStep], one: int, other: int) -> bool:
    """Whether a step comes after another in every order."""
    after = steps[one - 1].after
    return other in after or any(_waits(steps, number, other) for number in after)


def test_only_what_is_named_or_backed_up_is_snapshot() -> None:
    files = stateful("files")
    backend = replace(BACKEND, needs=(*BACKEND.needs, Dependency(service="files")))
    made = world(backend, POSTGRES, files)
    wanted = project(replace(backend, image="shop/backend:2"), POSTGRES, files)
    backed_up = migrating()
    both = replace(backed_up, backups=(*backed_up.backups, BackupPolicy(service="files")))

    def covered(app: App) -> list[str]:
        return [
            name
            for s in made.propose(wanted, app=app).steps
            if isinstance(s.step, Safeguard)
            for name in s.step.services
        ]

    assert covered(both) == ["postgres", "files"]
    assert covered(backed_up) == ["postgres"]
    assert covered(replace(backed_up, backups=())) == []
    assert covered(migrating(safeguard_services=("files", "gone"))) == ["files"]
    assert covered(migrating(safeguard=False)) == []


def test_a_release_that_does_not_replace_the_migrated_service_says_that_no_migration_runs() -> None:
    made = world(BACKEND, WEB)
    told = "the migration does not run: backend, whose new image would run it, is not replaced"
    assert made.propose(project(BACKEND, replace(WEB, image="web:2")), app=migrating()).notes == (told,)
    assert told not in made.propose(project(replace(BACKEND, image="shop/backend:2"), WEB), app=migrating()).notes
    assert made.propose(project(BACKEND, WEB), app=migrating()).notes == (), "nothing is released"
    assert made.propose(project(WEB), app=migrating()).notes == (), "`check` tells of a service that is none"


def test_a_migration_of_data_without_a_snapshot_is_said() -> None:
    made = world(BACKEND, POSTGRES)
    wanted = project(replace(BACKEND, image="shop/backend:2"), POSTGRES)
    bare = made.propose(wanted, app=replace(migrating(), backups=()))
    refused = made.propose(wanted, app=migrating(safeguard=False))
    told = "the migration runs without a snapshot of postgres"
    assert [note for note in bare.notes if told in note] == [f"{told} (no `backups:` in havre.yaml)"]
    assert [note for note in refused.notes if told in note] == [f"{told} (`safeguard: false`)"]


def test_a_migration_does_not_run_when_a_replica_is_only_repaired_or_added() -> None:
    made = world(BACKEND, POSTGRES)
    made.engine.crash("shop", "backend", 1)
    plan = made.propose(project(replace(BACKEND, replicas=2), POSTGRES), app=migrating())
    assert "migrate" not in str(plan)
    assert "start backend.2" in str(plan)


# -- jobs, leftovers and the rest ------------------------------------------------------------------------------------


def job_record(**changes: object) -> ObservedReplica:
    return replica(role="job", slot=9001, state=ReplicaState.EXITED, exit_code=0, **changes)


def tasks(*records: ObservedReplica, image: str = "sha256:1") -> str:
    waiting = replace(rolling("app", "app:1"), needs=(Dependency(service="web", condition=Condition.COMPLETED),))
    known = replica(service="app", fingerprint=fingerprint(waiting), image="app:1", image_id="sha256:9")
    images = (ObservedImage(reference=WEB.image, id=image), ObservedImage(reference="app:1", id="sha256:9"))
    observed = Observed(instance="shop", replicas=(known, *records), images=images)
    return str(plan_rollout(project(WEB, waiting), observed, app=None, edge=EdgeFacts(), files={}))


def test_a_job_whose_successful_run_is_on_record_runs_again_only_when_it_changed() -> None:
    assert "run job" not in tasks(job_record())
    assert "run job web: image changed" in tasks(job_record(), image="sha256:2")
    assert "run job" not in tasks()


def test_what_was_kept_of_failed_runs_goes_with_the_next_release() -> None:
    assert tasks(replace(job_record(), exit_code=1)).startswith("1. create network shop_default")
    assert "remove web.9001: kept from a failed run" in tasks(replace(job_record(), exit_code=1))
    assert "web.9001" not in tasks(replace(job_record(), state=ReplicaState.RUNNING, exit_code=None))


def test_replicas_of_a_service_that_became_a_job_go() -> None:
    assert "remove web.1: it runs as a job now" in tasks(replica())


def test_a_replica_beyond_repair_and_not_needed_goes_for_its_own_reason() -> None:
    observed = Observed(instance="shop", replicas=(replica(state=ReplicaState.EXITED, exit_code=1),))
    plan = plan_rollout(project(replace(WEB, replicas=0)), observed, app=None, edge=EdgeFacts(), files={})
    assert str(plan) == "1. remove web.1: replica exited (1)"


def test_routes_that_changed_alone_are_switched_and_verified() -> None:
    made = world(WEB, led=("web",))
    facts = replace(made.facts(project(WEB)), routes_changed=True)
    app = App(name="shop", verifications=(Verification(), Verification()))
    plan = plan_rollout(project(WEB), made.observe(project(WEB)), app=app, edge=facts, files={})
    assert (
        str(plan)
        == """\
1. route to web.1: the routes changed
2. verify through the edge (2 checks): as a user reaches it; else all is undone [after 1]"""
    )


def test_an_edge_that_lost_its_routes_gets_them_back() -> None:
    made = world(WEB, led=("web",))
    facts = replace(made.facts(project(WEB)), now=())
    plan = plan_rollout(project(WEB), made.observe(project(WEB)), app=None, edge=facts, files={})
    assert str(plan) == "1. route to web.1: the edge does not lead there"


def test_a_service_that_left_the_file_and_its_network_go_after_the_switch() -> None:
    made = world(WEB, rolling("old"), led=("web", "old"))
    made.engine.add_network("shop_old", instance="shop")
    assert (
        str(made.propose(project(WEB)))
        == """\
1. route to web.1: services are removed
2. drain old.1: not in the Compose file any more [after 1]
3. stop old.1: not in the Compose file any more [after 2]
4. remove old.1: not in the Compose file any more [after 3]
5. remove network shop_old: not in the Compose file any more [after 1, 4]"""
    )


def test_a_service_kept_although_it_left_the_file_keeps_its_route() -> None:
    made = world(WEB, rolling("old"), led=("web", "old"))
    plan = made.propose(project(replace(WEB, image="web:2")), remove_orphans=False)
    assert "route to old.1, web.2: 1 new replica proven" in str(plan)


def test_a_volume_that_is_no_longer_declared_is_kept_and_told() -> None:
    observed = Observed(
        instance="shop",
        volumes=(ObservedVolume(name="shop_old", instance="shop"), ObservedVolume(name="theirs")),
    )
    plan = plan_rollout(project(), observed, app=None, edge=EdgeFacts(), files={})
    assert plan.is_empty
    assert plan.notes == ("the volume shop_old is not in the Compose file any more; it is kept with its data",)


def test_two_services_of_one_image_fetch_or_build_it_once() -> None:
    build = Build(context="/src")
    plan = World().propose(project(rolling("a", "app:1", build=build), rolling("b", "app:1", build=build)))
    assert [str(step.step) for step in plan.steps if "app:1" in str(step.step)] == ["build a as app:1"]


def test_two_held_services_with_the_same_caller_are_replaced_at_once_and_neither_ends_the_others_hold() -> None:
    first, second = stateful("first"), stateful("second")
    user = rolling("user", "user:1", "first", "second")
    made = world(first, second, user, led=("first", "second", "user"))
    wanted = project(*(replace(service, image=f"{service.name}:2") for service in (first, second, user)))
    plan = made.propose(wanted)
    number = {str(step.step).split(",")[0]: step for step in plan.steps}
    back = number["resume requests for first and user"]
    assert back.number not in number["hold requests for second"].after
    turns = cycle([min, max])
    made.choose = lambda ready: next(turns)(ready)
    assert made.deploy(wanted) == "serves"
    assert made.complaints() == ""
    assert made.story.index("stop first.1") < made.story.index("await second.2")
    assert made.story.index("stop second.1") < made.story.index("await first.2")


def test_while_routes_change_a_held_service_gets_its_requests_back_before_the_one_switch() -> None:
    database, user = stateful("db"), rolling("user", "user:1", "db")
    made = world(database, user, led=("db", "user"))
    wanted = project(replace(database, image="db:2"), replace(user, image="user:2"))
    facts = replace(made.facts(wanted), routes_changed=True)
    plan = plan_rollout(wanted, made.observe(wanted), app=None, edge=facts, files={})
    texts = [str(step.step) for step in plan.steps]
    assert sum("route to" in text for text in texts) == 1
    assert texts.index("resume requests for db and user") < texts.index("start user.2")


def test_a_service_that_did_its_work_is_not_started_again() -> None:
    task = Service(name="web", image=WEB.image)
    ended = replica(state=ReplicaState.EXITED, exit_code=0, fingerprint=fingerprint(task))
    assert reason(task, ended) == ""
    assert reason(task, replace(ended, exit_code=1)) == "replica exited (1)"
    assert reason(replace(task, expose=("80",)), ended) != ""
