"""The plans of the typical days of an app, word for word."""

from __future__ import annotations

from dataclasses import replace

from memory_world import World, project, rolling, stateful, world

from havre.model.app import App, Migration, Verification
from havre.model.backup import BackupPolicy
from havre.model.project import Condition, Dependency, Order, Resources, UpdatePolicy
from havre.planning.rollout import plan_rollout

POSTGRES = stateful("postgres", "postgres:16")
REDIS = rolling("redis", "redis:7")
BACKEND = rolling("backend", "shop/backend:1", "postgres", "redis")
FRONTEND = rolling("frontend", "shop/frontend:1", "backend")
SHOP = (FRONTEND, BACKEND, POSTGRES, REDIS)
LED = ("frontend", "backend", "redis")
NEW_BACKEND = replace(BACKEND, image="shop/backend:2")
NEW_POSTGRES = replace(POSTGRES, image="postgres:17")
INIT = rolling("init", "shop/backend:1", "postgres")
AFTER_INIT = replace(BACKEND, needs=(*BACKEND.needs, Dependency(service="init", condition=Condition.COMPLETED)))
NOTE = "note: postgres is stop-first, it writes the volume postgresdata: about 3 s without it, at most 10 s;"
MIGRATING = App(
    name="shop",
    migration=Migration(service="backend", run=("alembic", "upgrade", "head")),
    backups=(BackupPolicy(service="postgres"),),
    verifications=(Verification(),),
)


def test_the_first_release_starts_everything_in_order_of_need() -> None:
    plan = World(led=frozenset(LED)).propose(project(*SHOP))
    assert (
        str(plan)
        == """\
1. pull postgres:16: postgres runs it
2. pull redis:7: redis runs it
3. pull shop/backend:1: backend runs it
4. pull shop/frontend:1: frontend runs it
5. create network shop_default: it does not exist yet
6. create volume shop_postgresdata: it does not exist yet
7. start postgres.1: first release [after 1, 5, 6]
8. await postgres.1: no traffic before [after 7]
9. start redis.1: first release [after 2, 5]
10. await redis.1: no traffic before [after 9]
11. start backend.1: first release [after 3, 5, 8, 10]
12. await backend.1: no traffic before [after 11]
13. start frontend.1: first release [after 4, 5, 12]
14. await frontend.1: no traffic before [after 13]
15. route to backend.1, frontend.1, redis.1: 4 new replicas proven [after 8, 10, 12, 14]"""
    )


def test_an_unchanged_project_needs_nothing() -> None:
    assert str(world(*SHOP, led=LED).propose(project(*SHOP))) == ""


def test_one_changed_image_touches_one_service() -> None:
    plan = world(*SHOP, led=LED).propose(project(FRONTEND, NEW_BACKEND, POSTGRES, REDIS))
    assert (
        str(plan)
        == """\
1. pull shop/backend:2: backend runs it
2. start backend.2: image changed [after 1]
3. await backend.2: no traffic before [after 2]
4. route to backend.2, frontend.1, redis.1: 1 new replica proven [after 3]
5. drain backend.1: replaced by backend.2 [after 4]
6. stop backend.1: replaced by backend.2 [after 5]
7. remove backend.1: replaced by backend.2 [after 6]"""
    )


def test_changed_settings_are_named() -> None:
    plan = world(*SHOP, led=LED).propose(
        project(*SHOP).with_service(
            replace(FRONTEND, environment=(("A", "b"),), resources=Resources(memory=512 * 1024**2))
        )
    )
    assert (
        str(plan)
        == """\
1. start frontend.2: environment and resources changed
2. await frontend.2: no traffic before [after 1]
3. route to backend.1, frontend.2, redis.1: 1 new replica proven [after 2]
4. drain frontend.1: replaced by frontend.2 [after 3]
5. stop frontend.1: replaced by frontend.2 [after 4]
6. remove frontend.1: replaced by frontend.2 [after 5]"""
    )


def test_a_database_is_replaced_stop_first_while_requests_for_what_calls_it_wait() -> None:
    plan = world(*SHOP, led=LED).propose(project(FRONTEND, BACKEND, NEW_POSTGRES, REDIS))
    assert (
        str(plan)
        == f"""\
1. pull postgres:17: postgres runs it
2. hold requests for backend, which calls postgres, at most 15 s: postgres stops before its successor starts [after 1]
3. stop postgres.1: replaced by postgres.2 [after 2]
4. start postgres.2: image changed [after 3]
5. await postgres.2: no traffic before [after 4]
6. resume requests for backend, which calls postgres: postgres is proven [after 5]
7. remove postgres.1: replaced by postgres.2 [after 5, 6]
{NOTE} requests for backend wait"""
    )


def test_requests_for_a_published_database_are_held_and_those_for_what_calls_it_once_it_is_drained() -> None:
    plan = world(*SHOP, led=(*LED, "postgres")).propose(project(FRONTEND, BACKEND, NEW_POSTGRES, REDIS))
    assert (
        str(plan)
        == f"""\
1. pull postgres:17: postgres runs it
2. hold requests for postgres, at most 15 s: it stops before its successor starts [after 1]
3. drain postgres.1: replaced by postgres.2 [after 2]
4. hold requests for backend, which calls postgres, at most 15 s: postgres stops before its successor starts [after 3]
5. stop postgres.1: replaced by postgres.2 [after 4]
6. start postgres.2: image changed [after 5]
7. await postgres.2: no traffic before [after 6]
8. resume requests for backend, which calls postgres: postgres is proven [after 7]
9. route to backend.1, frontend.1, postgres.2, redis.1: 1 new replica proven [after 7, 8]
10. remove postgres.1: replaced by postgres.2 [after 9]
{NOTE} requests for postgres and backend wait"""
    )


def test_a_held_service_gets_its_requests_back_before_what_depends_on_it_starts() -> None:
    plan = world(*SHOP, led=(*LED, "postgres")).propose(project(FRONTEND, NEW_BACKEND, NEW_POSTGRES, REDIS))
    assert (
        str(plan)
        == f"""\
1. pull postgres:17: postgres runs it
2. pull shop/backend:2: backend runs it
3. hold requests for postgres, at most 15 s: it stops before its successor starts [after 1, 2]
4. drain postgres.1: replaced by postgres.2 [after 3]
5. hold requests for backend, which calls postgres, at most 15 s: postgres stops before its successor starts [after 4]
6. stop postgres.1: replaced by postgres.2 [after 5]
7. start postgres.2: image changed [after 6]
8. await postgres.2: no traffic before [after 7]
9. resume requests for postgres and backend: postgres is proven [after 8]
10. start backend.2: image changed [after 2, 8, 9]
11. await backend.2: no traffic before [after 10]
12. route to backend.2, frontend.1, postgres.2, redis.1: 2 new replicas proven [after 8, 9, 11]
13. drain backend.1: replaced by backend.2 [after 12]
14. stop backend.1: replaced by backend.2 [after 13]
15. remove backend.1: replaced by backend.2 [after 14]
16. remove postgres.1: replaced by postgres.2 [after 12]
{NOTE} requests for postgres and backend wait"""
    )


def test_nobody_that_the_edge_leads_to_calls_it_so_calls_fail_and_the_plan_says_so() -> None:
    plan = world(POSTGRES, rolling("worker", "", "postgres"), FRONTEND, led=("frontend",)).propose(
        project(NEW_POSTGRES, rolling("worker", "", "postgres"), FRONTEND)
    )
    assert "hold" not in str(plan)
    assert str(plan).endswith("about 3 s without it, at most 10 s; calls to it fail")


def test_scaling_up_starts_the_missing_ones_at_once() -> None:
    plan = world(*SHOP, led=LED).propose(project(*SHOP), scale={"backend": 3})
    assert (
        str(plan)
        == """\
1. start backend.2: replica 2 of 3 missing
2. await backend.2: no traffic before [after 1]
3. start backend.3: replica 3 of 3 missing
4. await backend.3: no traffic before [after 3]
5. route to backend.1, backend.2, backend.3, frontend.1, redis.1: 2 new replicas proven [after 2, 4]"""
    )


def test_scaling_down_lets_the_highest_go_first() -> None:
    plan = world(FRONTEND, POSTGRES, REDIS, replace(BACKEND, replicas=3), led=LED).propose(project(*SHOP))
    assert (
        str(plan)
        == """\
1. route to backend.1, frontend.1, redis.1: fewer replicas serve
2. drain backend.3: scaled to 1 [after 1]
3. stop backend.3: scaled to 1 [after 2]
4. remove backend.3: scaled to 1 [after 3]
5. drain backend.2: scaled to 1 [after 1]
6. stop backend.2: scaled to 1 [after 5]
7. remove backend.2: scaled to 1 [after 6]"""
    )


def test_a_service_that_left_the_file_goes_after_the_switch_and_its_volume_stays() -> None:
    plan = world(*SHOP, led=LED).propose(project(FRONTEND, BACKEND, REDIS))
    assert (
        str(plan)
        == """\
1. stop postgres.1: not in the Compose file any more
2. remove postgres.1: not in the Compose file any more [after 1]
note: the volume shop_postgresdata is not in the Compose file any more; it is kept with its data"""
    )


def test_a_service_that_left_the_file_may_be_kept() -> None:
    plan = world(*SHOP, led=LED).propose(project(POSTGRES, BACKEND, REDIS), remove_orphans=False)
    assert (
        str(plan)
        == """\
note: frontend is not in the Compose file any more and keeps running"""
    )


def test_a_migration_runs_from_the_new_image_behind_a_snapshot() -> None:
    plan = world(*SHOP, led=LED).propose(project(FRONTEND, NEW_BACKEND, POSTGRES, REDIS), app=MIGRATING)
    assert (
        str(plan)
        == """\
1. pull shop/backend:2: backend runs it
2. snapshot postgres: before backend's migration may change them [after 1]
3. migrate backend: alembic upgrade head: nothing else starts unless it succeeds [after 1, 2]
4. start backend.2: image changed [after 1, 3]
5. await backend.2: no traffic before [after 4]
6. route to backend.2, frontend.1, redis.1: 1 new replica proven [after 5]
7. verify through the edge (1 check): as a user reaches it; else all is undone [after 6]
8. drain backend.1: replaced by backend.2 [after 7]
9. stop backend.1: replaced by backend.2 [after 8]
10. remove backend.1: replaced by backend.2 [after 9]"""
    )


def test_the_first_migration_waits_for_its_database_and_has_nothing_to_snapshot() -> None:
    plan = World(led=frozenset(LED)).propose(project(*SHOP), app=MIGRATING)
    assert (
        str(plan)
        == """\
1. pull postgres:16: postgres runs it
2. pull redis:7: redis runs it
3. pull shop/backend:1: backend runs it
4. pull shop/frontend:1: frontend runs it
5. create network shop_default: it does not exist yet
6. create volume shop_postgresdata: it does not exist yet
7. start postgres.1: first release [after 1, 5, 6]
8. await postgres.1: no traffic before [after 7]
9. start redis.1: first release [after 2, 5]
10. await redis.1: no traffic before [after 9]
11. migrate backend: alembic upgrade head: nothing else starts unless it succeeds [after 1, 2, 3, 4, 5, 8, 10]
12. start backend.1: first release [after 3, 5, 8, 10, 11]
13. await backend.1: no traffic before [after 12]
14. start frontend.1: first release [after 4, 5, 11, 13]
15. await frontend.1: no traffic before [after 14]
16. route to backend.1, frontend.1, redis.1: 4 new replicas proven [after 8, 10, 13, 15]
17. verify through the edge (1 check): as a user reaches it; else all is undone [after 16]"""
    )


def test_a_job_runs_before_what_waits_for_its_end() -> None:
    plan = World().propose(project(AFTER_INIT, POSTGRES, REDIS, INIT))
    assert (
        str(plan)
        == """\
1. pull postgres:16: postgres runs it
2. pull redis:7: redis runs it
3. pull shop/backend:1: init runs it
4. create network shop_default: it does not exist yet
5. create volume shop_postgresdata: it does not exist yet
6. start postgres.1: first release [after 1, 4, 5]
7. await postgres.1: no traffic before [after 6]
8. start redis.1: first release [after 2, 4]
9. await redis.1: no traffic before [after 8]
10. run job init: backend waits for it [after 3, 4, 7]
11. start backend.1: first release [after 3, 4, 7, 9, 10]
12. await backend.1: no traffic before [after 11]"""
    )


def test_a_job_runs_again_when_what_waits_for_it_is_replaced() -> None:
    plan = world(AFTER_INIT, POSTGRES, REDIS, INIT).propose(
        project(replace(AFTER_INIT, image="shop/backend:2"), POSTGRES, REDIS, replace(INIT, image="shop/backend:2"))
    )
    assert (
        str(plan)
        == """\
1. pull shop/backend:2: init runs it
2. run job init: backend waits for it [after 1]
3. start backend.2: image changed [after 1, 2]
4. await backend.2: no traffic before [after 3]
5. stop backend.1: replaced by backend.2 [after 2, 4]
6. remove backend.1: replaced by backend.2 [after 5]"""
    )


def test_replicas_are_updated_in_batches_that_must_settle() -> None:
    plan = world(replace(REDIS, replicas=3)).propose(
        project(replace(REDIS, image="redis:8", replicas=3, update=UpdatePolicy(parallelism=2, delay=5, monitor=3)))
    )
    assert (
        str(plan)
        == """\
1. pull redis:8: redis runs it
2. start redis.4: image changed [after 1]
3. await redis.4 and 5 s more: no traffic before [after 2]
4. start redis.5: image changed [after 1]
5. await redis.5 and 5 s more: no traffic before [after 4]
6. start redis.6: image changed [after 3, 5]
7. await redis.6 and 3 s more: no traffic before [after 6]
8. stop redis.1: replaced by redis.4 [after 3, 5, 7]
9. remove redis.1: replaced by redis.4 [after 8]
10. stop redis.2: replaced by redis.5 [after 3, 5, 7]
11. remove redis.2: replaced by redis.5 [after 10]
12. stop redis.3: replaced by redis.6 [after 3, 5, 7]
13. remove redis.3: replaced by redis.6 [after 12]"""
    )


def test_restarting_rolls_what_rolls_and_stops_what_must_stop() -> None:
    plan = world(*SHOP, led=LED).propose(project(*SHOP), force=("postgres", "redis"))
    assert (
        str(plan)
        == f"""\
1. start redis.2: asked for
2. await redis.2: no traffic before [after 1]
3. hold requests for backend, which calls postgres, at most 15 s: postgres stops before its successor starts [after 2]
4. stop postgres.1: replaced by postgres.2 [after 3]
5. start postgres.2: asked for [after 4]
6. await postgres.2: no traffic before [after 5]
7. resume requests for backend, which calls postgres: postgres is proven [after 6]
8. route to backend.1, frontend.1, redis.2: 2 new replicas proven [after 2, 6, 7]
9. drain redis.1: replaced by redis.2 [after 8]
10. stop redis.1: replaced by redis.2 [after 9]
11. remove redis.1: replaced by redis.2 [after 10]
12. remove postgres.1: replaced by postgres.2 [after 8]
{NOTE} requests for backend wait"""
    )


def test_order_and_failure_action_are_the_users_word() -> None:
    plan = world(REDIS).propose(
        project(replace(REDIS, image="redis:8", update=UpdatePolicy(order=Order.STOP_FIRST, failure_action="continue")))
    )
    assert (
        str(plan)
        == """\
1. pull redis:8: redis runs it
2. stop redis.1: replaced by redis.2 [after 1]
3. start redis.2: image changed [after 2]
4. await redis.2: no traffic before [after 3]
5. remove redis.1: replaced by redis.2 [after 4]
note: redis is stop-first, its update_config says so: about 3 s without it, at most 10 s; calls to it fail
note: redis: failure_action continue is not followed, a failed release is undone whole"""
    )


def test_an_image_that_must_come_first_is_asked_about_its_files_before_anything_starts() -> None:
    made = world(rolling("web"), rolling("api"), led=("web",))
    wanted = project(rolling("web", "web:2"), rolling("api", "api:2"))
    plan = plan_rollout(
        wanted, made.observe(wanted), app=None, edge=made.facts(wanted), files={}, trials=frozenset({"web"})
    )
    texts = {str(step.step): step for step in plan.steps}
    asked = texts["try the configuration of web"]
    assert asked.after == (texts["pull web:2"].number,)
    assert asked.number in next(step for text, step in texts.items() if text.startswith("start web")).after
    assert "try the configuration of api" not in texts
