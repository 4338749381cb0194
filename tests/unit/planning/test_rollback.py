"""Going back to a recorded release: its images, whatever their names mean today (D13)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from memory_world import World, project, rolling, world

from havre.errors import RefusedError
from havre.model.app import App, Migration, Verification
from havre.model.observed import Observed, ObservedImage
from havre.model.plan import Plan
from havre.model.project import Build
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
    moved = Schema(then="a1", now="b2")
    assert rollback(made, pin, app=APP, schema=moved).notes == (
        "the database schema has moved since release 3: a1 then, b2 now; it stays",
        "`alembic downgrade -1` would take one migration back; nothing runs it by itself",
    )
    assert rollback(made, pin, app=None, schema=moved).notes[1:] == (
        "the snapshot taken before the migration can be restored by hand; newer data would be lost",
    )
    assert rollback(made, pin, app=APP, schema=Schema(then="a1", now="a1")).notes == ()
    assert rollback(made, pin, app=APP).notes == ()
