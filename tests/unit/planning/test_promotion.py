"""Promoting images: the same software takes the other environment's image, under a name of this one's own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from memory_world import project, rolling, world

from havre.errors import RefusedError
from havre.model.observed import Observed, ObservedImage
from havre.model.plan import TagImage
from havre.model.project import Build, Project
from havre.model.release import PinnedImage
from havre.planning.promotion import Promotion, promote_images, with_names
from havre.planning.rollout import plan_rollout

SOURCE = "shop-staging"
WEB = replace(rolling("web", "shop/web:here"), build=Build(context="/src"))
CACHE = rolling("cache", "redis:7")


def pin(service: str, reference: str, image_id: str, digest: str | None = None) -> PinnedImage:
    return PinnedImage(service=service, reference=reference, image_id=image_id, digest=digest)


BUILT = pin("web", f"{SOURCE}/web:there", "sha256:w2")


def promote(*pins: PinnedImage, of: Project | None = None, seen: tuple[tuple[str, str], ...] = ()) -> Promotion:
    here = [*seen, *((one.image_id, one.image_id) for one in pins)]
    observed = Observed(instance="shop", images=tuple(ObservedImage(reference=name, id=id_) for name, id_ in here))
    return promote_images(of or project(WEB, CACHE), pins, observed, source=SOURCE, release=3)


def test_what_was_built_there_gets_a_name_here_and_is_not_built() -> None:
    promotion = promote(BUILT, of=project(WEB))
    web = promotion.project.service("web")
    assert (web.image, web.build) == ("shop/web:there", None)
    assert promotion.names == (("shop/web:there", "sha256:w2"),)


def test_a_name_that_means_the_same_already_is_not_given_again() -> None:
    assert promote(BUILT, of=project(WEB), seen=(("shop/web:there", "sha256:w2"),)).names == ()


def test_another_version_of_the_same_repository_is_taken_over() -> None:
    newer = pin("cache", "redis:8", "sha256:r8", "sha256:d8")
    assert promote(newer, of=project(CACHE)).project.service("cache").image == "sha256:r8"
    assert (
        promote(newer, of=project(CACHE), seen=(("redis:8", "sha256:r8"),)).project.service("cache").image == "redis:8"
    )


def test_other_software_under_the_same_name_stays_and_is_told() -> None:
    promotion = promote(BUILT, pin("cache", "valkey:8", "sha256:v8"))
    assert promotion.project.service("cache") == CACHE
    assert promotion.notes == ("cache keeps its own image, redis:7: shop-staging runs other software under that name",)


def test_a_service_that_the_source_lacks_keeps_its_image_and_one_that_is_built_is_refused() -> None:
    assert promote(BUILT).notes == ("cache keeps its own image, redis:7: shop-staging has no such service",)
    with pytest.raises(RefusedError, match="release 3 of shop-staging has no image of it"):
        promote(pin("cache", "redis:7", "sha256:r7"))


def test_an_image_that_is_nowhere_is_refused() -> None:
    observed = Observed(instance="shop")
    with pytest.raises(RefusedError, match="neither here nor in a registry"):
        promote_images(project(WEB), [BUILT], observed, source=SOURCE, release=3)


def test_the_plan_names_the_image_first_and_only_what_runs_it_waits_for_that() -> None:
    made = world(WEB, CACHE, led=("web",))
    made.engine.add_image(BUILT.image_id, BUILT.image_id)
    promotion = promote(BUILT, pin("cache", "redis:7", made.engine.images["redis:7"]))
    plan = plan_rollout(
        promotion.project, made.observe(promotion.project), app=None, edge=made.facts(promotion.project), files={}
    )
    named = with_names(plan, promotion)
    assert named.steps[0].step == TagImage(image_id="sha256:w2", reference="shop/web:there")
    assert named.steps[0].reason == "promoted from shop-staging, release 3"
    start = next(step for step in named.steps if str(step.step).startswith("start web"))
    assert 1 in start.after
    assert [step.number for step in named.steps] == list(range(1, len(named.steps) + 1))
    assert all(number < step.number for step in named.steps for number in step.after)


def test_a_plan_that_does_nothing_names_nothing() -> None:
    made = world(CACHE)
    plan = plan_rollout(made.served, made.observe(made.served), app=None, edge=made.facts(made.served), files={})  # type: ignore[arg-type]
    assert plan.is_empty
    assert with_names(plan, promote(BUILT)).is_empty
