"""Another environment's images in this one: what was tried there is what runs here; all else is this one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from havre.errors import Problem, RefusedError
from havre.model.images import image_tag
from havre.model.observed import Observed
from havre.model.plan import Phase, Plan, PlannedStep, RunTask, StartReplica, TagImage
from havre.model.project import Project, Service
from havre.model.release import PinnedImage
from havre.planning.rollback import pin_images


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """A project with promoted images; `names` are (reference, image id) that must be given to images here first."""

    origin: str
    """`shop-staging, release 3`."""
    project: Project
    names: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def promote_images(
    project: Project, images: Sequence[PinnedImage], observed: Observed, *, source: str, release: int
) -> Promotion:
    """`project` with the images that `source` ran in its `release`, where both run the same software.

    That is every service that is built, and every other whose image is of the same repository. What `source` built
    gets a name of this project's own, so that it stays when the source goes. Raises RefusedError with every service
    whose image cannot be had.
    """
    pins = {pin.service: pin for pin in images}
    taken = [service for service in project.services if _is_same_software(service, pins.get(service.name))]
    lacking = [service for service in project.services if service.build and service not in taken]
    if lacking:
        raise RefusedError(_not_there(service, source, release) for service in lacking)
    pinned = pin_images(replace(project, services=tuple(taken)), images, observed)
    named = {service.name: _own_name(service, pins[service.name], project.name, source) for service in pinned.services}
    services = tuple(named.get(service.name, service) for service in project.services)
    ids = ((service.image, pins[service.name].image_id) for service in named.values())
    present = {image.reference: image.id for image in observed.images}
    return Promotion(
        origin=f"{source}, release {release}",
        project=replace(project, services=services),
        names=tuple(sorted({(name, id_) for name, id_ in ids if _is_to_be_named(name, id_, project.name, present)})),
        notes=tuple(
            f"{service.name} keeps its own image, {service.image}: {source} runs other software under that name"
            if service.name in pins
            else f"{service.name} keeps its own image, {service.image}: {source} has no such service"
            for service in project.services
            if service.name not in named
        ),
    )


def with_names(plan: Plan, promotion: Promotion) -> Plan:
    """`plan` with the steps in front that give promoted images their names here, and with the promotion's notes."""
    users = {
        step.number: step.step.service.image for step in plan.steps if isinstance(step.step, StartReplica | RunTask)
    }
    wanted = [(name, id_) for name, id_ in promotion.names if name in users.values()]
    first = [
        PlannedStep(
            number=number,
            step=TagImage(image_id=id_, reference=name),
            reason=f"promoted from {promotion.origin}",
            phase=Phase.PREPARE,
        )
        for number, (name, id_) in enumerate(wanted, start=1)
    ]
    numbers = {name: number for number, (name, _) in enumerate(wanted, start=1)}
    rest = [_later(step, len(first), numbers, users) for step in plan.steps]
    notes = promotion.notes if plan.steps else ()
    return replace(plan, steps=(*first, *rest), notes=(*plan.notes, *notes))


def _is_same_software(service: Service, pin: PinnedImage | None) -> bool:
    if pin is None:
        return False
    return service.build is not None or image_tag(service.image)[0] == image_tag(pin.reference)[0]


def _own_name(service: Service, pin: PinnedImage, instance: str, source: str) -> Service:
    """Images are named by their content (`source/web:1a2b3c4d`); the same content is called the same here."""
    if not pin.reference.startswith(f"{source}/"):
        return service
    tag = image_tag(pin.reference)[1] or pin.image_id.removeprefix("sha256:")[:12]
    return replace(service, image=f"{instance}/{service.name}:{tag}")


def _is_to_be_named(name: str, image_id: str, instance: str, present: Mapping[str, str]) -> bool:
    return name.startswith(f"{instance}/") and present.get(name) != image_id


def _later(step: PlannedStep, by: int, names: Mapping[str, int], users: Mapping[int, str]) -> PlannedStep:
    named = names.get(users.get(step.number, ""))
    after = {*(number + by for number in step.after), *([named] if named else [])}
    return replace(step, number=step.number + by, after=tuple(sorted(after)))


def _not_there(service: Service, source: str, release: int) -> Problem:
    return Problem(
        summary=f"it is built from sources here, and release {release} of {source} has no image of it",
        subject=service.name,
        hint=f"deploy these files to {source} first, then promote that release",
        code="promotion-lacks-service",
    )
