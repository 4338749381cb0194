"""What a release will take of the disks: images to pull, images to build, and the next backup of every service."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from havre.backups.book import Book, added_by_next
from havre.backups.repository import local_directory
from havre.checks.dockerfile import base_images, stages
from havre.engines.base import Engine, Upkeep
from havre.engines.images import context_files, dockerfile_path, is_remote
from havre.errors import HavreError
from havre.model.backup import Snapshot
from havre.model.images import image_tag
from havre.model.observed import Observed
from havre.model.project import Build
from havre.model.server import DiskNeed
from havre.model.units import MIB
from havre.store.state import State
from havre.workflows.intent import Intent
from havre.workflows.server import Server

ASSUMED = 400 * MIB
"""Bytes counted for an image of which nothing like it is here."""

ASSUMED_SERVER = 100 * MIB
"""Bytes counted for a server that the process engine may have to fetch: the wheel of PostgreSQL and what is in it."""


def disk_needs(server: Server, intent: Intent, observed: Observed) -> tuple[DiskNeed, ...]:
    """Everything that is not on the disks yet; nothing is asked of any registry."""
    return (*_images(server, intent, observed), *next_backups(server.state, intent.app.instance))


def _images(server: Server, intent: Intent, observed: Observed) -> Iterator[DiskNeed]:
    absent = {one.image: one for one in intent.project.services if observed.image(one.image) is None}
    sizes = _sizes_here(server.engine) if absent else None
    if sizes is None:
        return
    counted = set[tuple[object, ...]]()
    for image, service in absent.items():
        if service.build is None:
            size, note = sizes.get(image_tag(image)[0], 0), "to pull; as large as the one here"
            assumed = ASSUMED_SERVER if server.engine.name == "process" else ASSUMED
            yield _need(image, size or assumed, note if size else "to pull; assumed")
        elif not is_remote(service.build.context):
            before = sizes.get(image_tag(image)[0], 0)
            made = _made_of(service.build)
            size, note = _built(service.build, before, sizes, pulls=server.engine.name == "docker")
            if made in counted:
                size, note = 0, "layers shared with a build above"
            counted.add(made)
            yield _need(f"{intent.app.instance}/{service.name}", size, f"to build; {note}")


def _made_of(build: Build) -> tuple[object, ...]:
    """Builds alike in this are made of the same layers, and stored once."""
    return build.context, build.dockerfile, build.dockerfile_inline, build.target, build.args


def _need(name: str, size: int, note: str) -> DiskNeed:
    return DiskNeed(purpose="images", name=name, size=size, note=note)


def _built(build: Build, before: int, sizes: Mapping[str, int], *, pulls: bool) -> tuple[int, str]:
    """(bytes, how they were counted): a base that is here is shared; one that is not, an engine may have to pull."""
    path = dockerfile_path(build)
    text = build.dockerfile_inline or (path.read_text(errors="replace") if path.is_file() else "")
    bases = [image_tag(base)[0] for base in base_images(stages(text, build.args))]
    shared = max((sizes.get(base, 0) for base in bases), default=0)
    pulled = sum(ASSUMED for base in bases if base not in sizes) if pulls else 0
    if before > shared:
        return before - shared + pulled, "as much as the last build added"
    return _sent(build) + pulled, "its context" + (", and its base, assumed" if pulled else "")


def _sent(build: Build) -> int:
    """Bytes of the files that the builder gets."""
    try:
        return sum(os.stat(one.path).st_size for one in context_files(build) if one.kind == "file")  # noqa: PTH116
    except (HavreError, OSError):  # what is wrong with the context, its own check says
        return 0


def _sizes_here(engine: Engine) -> Mapping[str, int] | None:
    """The size of the largest image here, by repository; None of an engine that keeps no images."""
    if not isinstance(engine, Upkeep):
        return None
    found: dict[str, int] = {}
    for image in engine.images_here():
        for name in image.names:
            repository = image_tag(name)[0]
            found[repository] = max(found.get(repository, 0), image.size)
    return found


def next_backups(state: State, instance: str) -> Iterator[DiskNeed]:
    """One more backup of every service that was backed up into a directory of this machine."""
    newest: dict[str, Snapshot] = {}
    for snapshot in Book(state.backups).snapshots(instance):
        if snapshot.is_good:
            newest.setdefault(snapshot.service, snapshot)
    for service, last in sorted(newest.items()):
        directory = local_directory(last.repository)
        if directory is not None:
            yield DiskNeed(
                purpose="backups" if directory.is_relative_to(state.backups) else str(directory),
                name=f"{instance}/{service}",
                size=added_by_next(last.repository, last.size, last),
                note="its next backup, by the last one",
            )
