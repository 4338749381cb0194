"""Going back to a recorded release: its images, whatever their names mean today (D13)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from memory_world import World, project, rolling, world

from havre.errors import RefusedError
from havre.model.app import App, Migration, Verification
from havre.model.backup import BackupPolicy
from havre.model.observed import Observed, ObservedImage
from havre.model.plan import Plan, UndoMigration
from havre.model.project import Build, Dependency, Mount, MountKind
from havre.model.release import PinnedImage
from havre.planning.rollback import Schema, pin_images, plan_rollback

BACKEND = rolling("backend", "registry:5000/shop/backend:latest")
THEN = project(BACKEND)
OLD = PinnedImage(service="backend", reference=BACKEND.image, image_id="sha256:old", digest="sha256:d1")
APP = App(
    name="shop",
    migration=Migration(service="backend", run=("alembic", "upgrade", "head"), undo=("alembic", "downgrade", "-1")),
    verifications=(Verification(),),
)


def seen(*images: tuple[str, str]) -> Observed:
    return Observed(instance="shop", images=tuple(ObservedImage(reference=ref, id=id_) for ref, id_ in images))


def image_of(observed: Observed, pin: PinnedImage = OLD) -> str:
    return pin_images(THEN, [pin], observed).service("backend").image


def rollback(made: World, pin: PinnedImage, **options: object) -> Plan:
    return plan_rollback(
        THEN, [pin], made.observe(THEN), release=3, edge=made.facts(THEN), files={}, **options,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_reference_that_still_means_the_same_is_kept() -> None:
    assert image_of(seen((BACKEND.image, "sha256:old"))) == BACKEND.image


def test_a_reference_that_moved_is_replaced_by_the_image_id() -> None:
    assert image_of(seen((BACKEND.image, "sha256:new"), ("other", "sha256:old"))) == "sha256:old"


def test_an_image_that_is_gone_is_fetched_by_its_digest() -> None:
    assert image_of(seen()) == "registry:5000/shop/backend@sha256:d1"
    by_digest = replace(OLD, reference="backend@sha256:d0")
    assert image_of(seen(), by_digest) == "backend@sha256:d1"


def test_nothing_is_built_again_on_the_way_back() -> None:
    built = project(replace(BACKEND, build=Build(context="/src")))
    assert pin_images(built, [OLD], seen(("x", "sha256:old"))).service("backend").build is None


def test_every_image_that_cannot_be_had_is_named_at_once() -> None:
    wanted = project(BACKEND, rolling("worker"))
    with pytest.raises(RefusedError) as refused:
        pin_images(wanted, [replace(OLD, digest=None)], seen())
    assert [(p.subject, p.code) for p in refused.value.problems] == [
        ("backend", "image-gone"),
        ("worker", "image-not-recorded"),
    ]


def test_rolling_back_takes_the_same_road_as_a_release_without_its_migration() -> None:
    made = world(BACKEND, led=("backend",))
    old = made.engine.images[BACKEND.image]
    made.engine.add_image(BACKEND.image, "sha256:new")
    new = made.deploy(THEN)
    assert new == "serves"
    made.engine.add_image(old, old)
    plan = rollback(made, replace(OLD, image_id=old), app=APP)
    assert [str(step.step) for step in plan.steps] == [
        "pull registry:5000/shop/backend@sha256:d1",
        "start backend.1",
        "await backend.1",
        "route to backend.1",
        "verify through the edge (1 check)",
        "drain backend.2",
        "stop backend.2",
        "remove backend.2",
    ]


def test_an_image_that_a_replica_runs_is_here_whatever_its_name() -> None:
    made = world(replace(BACKEND, image="sha256:old"))
    made.engine.images["sha256:old"] = "sha256:old"
    assert made.deploy(project(replace(BACKEND, image="sha256:old"))) == "serves"
    assert rollback(made, OLD, app=None).is_empty


def test_a_schema_that_moved_is_told_together_with_what_could_be_done() -> None:
    made = world(BACKEND)
    pin = replace(OLD, image_id=made.engine.images[BACKEND.image])
    moved = Schema(then="a1", now="b2", can_undo=True, safeguards=(("db", "db-7"),))
    assert rollback(made, pin, app=APP, schema=moved).notes == (
        "the database schema has moved since release 3: a1 then, b2 now; it stays",
        "`havre rollback 3 --undo` takes it back first, after a snapshot",
        "`havre restore db db-7` brings back the data of before the migration; what was written since would be lost",
    )
    assert rollback(made, pin, app=None, schema=Schema(then="a1", now="b2")).notes[1:] == (
        "no `undo` is known and no snapshot was taken before it: look whether the code copes",
    )
    assert rollback(made, pin, app=APP, schema=Schema(then="a1", now="a1")).notes == ()
    assert rollback(made, pin, app=APP).notes == ()


def test_an_undo_runs_before_anything_starts_and_after_a_snapshot() -> None:
    database = replace(
        rolling("db", "postgres:15"), mounts=(Mount(kind=MountKind.VOLUME, source="data", target="/data"),)
    )
    needing = replace(BACKEND, needs=(Dependency(service="db"),))
    made = world(needing, database)
    pins = [
        PinnedImage(service=one.name, reference=one.image, image_id=made.engine.images[one.image])
        for one in (needing, database)
    ]
    changed = project(replace(needing, environment=(("A", "1"),)), database)
    undo = UndoMigration(service=needing, command=("alembic", "downgrade", "-1"), until="a1")
    plan = plan_rollback(
        changed, pins, made.observe(changed), release=3, app=replace(APP, backups=(BackupPolicy(service="db"),)),
        edge=made.facts(changed), files={}, undo=undo, schema=Schema(then="a1", now="b2"),
    )  # fmt: skip
    steps = [str(step.step) for step in plan.steps]
    assert steps[:2] == [
        "snapshot db",
        "undo the migration of backend: alembic downgrade -1, until the schema is at a1",
    ]
    assert all(2 in step.after for step in plan.steps if str(step.step).startswith("start "))
    assert plan.notes == ()
