"""Back to a recorded release: its project and its images as they were then, by the same road as any rollout (D13)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from havre.errors import Problem, RefusedError
from havre.model.app import App
from havre.model.observed import Observed, ObservedImage
from havre.model.plan import Plan, UndoMigration
from havre.model.project import Project, Service
from havre.model.release import PinnedImage
from havre.planning.facts import EdgeFacts
from havre.planning.rollout import FileDigests, plan_rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The database's revision as the release to return to left it, and as it is now; None where not recorded.

    `can_undo` is True where the release that serves says how its migration is undone; `safeguards` are (service,
    snapshot) from just before the first migration since the release to return to.
    """

    then: str | None = None
    now: str | None = None
    can_undo: bool = False
    safeguards: tuple[tuple[str, str], ...] = ()

    @property
    def has_moved(self) -> bool:
        """True where both are known, and differ."""
        return self.then is not None and self.now is not None and self.then != self.now


def plan_rollback(
    project: Project,
    images: Sequence[PinnedImage],
    observed: Observed,
    *,
    release: int,
    app: App | None,
    edge: EdgeFacts,
    files: FileDigests,
    schema: Schema | None = None,
    undo: UndoMigration | None = None,
) -> Plan:
    """The plan that returns to `release`, recorded as `project` and `images`.

    No migration of that release runs: an old image cannot know how to leave a newer schema. `undo` is run in the
    image that serves, where the user asked for it. Raises RefusedError with every image
    that cannot be had any more.
    """
    pinned = pin_images(project, images, observed)
    known = replace(observed, images=(*observed.images, *_by_id(observed)))
    without_migration = replace(app, migration=None) if app else None
    plan = plan_rollout(pinned, known, app=without_migration, edge=edge, files=files, undo=undo)
    notes = () if undo else _schema_notes(schema or Schema(), release)
    return replace(plan, notes=(*plan.notes, *notes))


def pin_images(project: Project, images: Sequence[PinnedImage], observed: Observed) -> Project:
    """`project` with each image as the release had it: its reference where that still means the same, else its id.

    An image that is no longer here is fetched by its digest.
    """
    pins = {image.service: image for image in images}
    present = {image.id for image in observed.images} | {replica.image_id for replica in observed.replicas}
    services, problems = [], []
    for service in project.services:
        reference = _pinned_reference(pins.get(service.name), observed, present)
        if reference is None:
            problems.append(_gone(service, pins.get(service.name)))
        services.append(replace(service, image=reference or service.image, build=None))
    if problems:
        raise RefusedError(problems)
    return replace(project, services=tuple(services))


def _by_id(observed: Observed) -> tuple[ObservedImage, ...]:
    """Images as known by their ids; a running replica's image is here even when no reference leads to it."""
    ids = {image.id for image in observed.images} | {replica.image_id for replica in observed.replicas}
    return tuple(ObservedImage(reference=id_, id=id_) for id_ in sorted(ids) if id_)


def _pinned_reference(pin: PinnedImage | None, observed: Observed, present: set[str]) -> str | None:
    if pin is None:
        return None
    local = observed.image(pin.reference)
    if local is not None and local.id == pin.image_id:
        return pin.reference
    if pin.image_id in present:
        return pin.image_id
    return f"{_repository(pin.reference)}@{pin.digest}" if pin.digest else None


def _repository(reference: str) -> str:
    """`registry:5000/team/app:1.2` without its tag or digest."""
    name = reference.split("@")[0]
    head, slash, tail = name.rpartition("/")
    return f"{head}{slash}{tail.split(':')[0]}"


def _gone(service: Service, pin: PinnedImage | None) -> Problem:
    if pin is None:
        return Problem(
            summary="the release did not record which image it ran",
            subject=service.name,
            hint="deploy the commit of that release again",
            code="image-not-recorded",
        )
    return Problem(
        summary=f"the image it ran, {pin.image_id[:19]}, is neither here nor in a registry",
        subject=service.name,
        evidence=(f"it was known as {pin.reference}",),
        hint="build it again from the commit of that release, then deploy that",
        code="image-gone",
    )


def _schema_notes(schema: Schema, release: int) -> tuple[str, ...]:
    """What the user must decide, for the schema is never taken back and no data restored by itself (D13)."""
    if not schema.has_moved:
        return ()
    moved = f"the database schema has moved since release {release}: {schema.then} then, {schema.now} now; it stays"
    undo = f"`havre rollback {release} --undo` takes it back first, after a snapshot"
    restores = " and ".join(f"`havre restore {service} {snapshot}`" for service, snapshot in schema.safeguards)
    restore = f"{restores} brings back the data of before the migration; what was written since would be lost"
    offers = [undo] if schema.can_undo else []
    offers += [restore] if restores else []
    return (moved, *(offers or ["no `undo` is known and no snapshot was taken before it: look whether the code copes"]))
