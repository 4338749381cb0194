"""What takes room below the process engine's directory: prepared sources and dependencies, volumes and logs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from havre.engines.process.images import Image, Images
from havre.engines.process.logfile import NAME, log_paths
from havre.engines.process.replicas import Found, Replicas
from havre.engines.process.volumes import Volumes
from havre.host import clock
from havre.host.locks import is_held
from havre.host.sizes import size_of
from havre.model.upkeep import Kind, Stored

COMPLETE = ".complete"
"""A file in prepared dependencies; without it they are still being prepared, or were left half-made by a crash."""

_FRESH = 3600.0
"""Seconds for which dependencies that no image uses are kept: a build that is under way has just prepared them."""


class Upkeep:
    """The room that one engine takes."""

    def __init__(self, state: Path, images: Images, caches: Path, replicas: Replicas, volumes: Volumes) -> None:
        self._state = state
        self._root = state / "images"
        self._images = images
        self._caches = caches
        self._replicas = replicas
        self._volumes = volumes

    def root(self) -> Path:
        """The directory below which everything of this engine lies."""
        return self._state

    def images_here(self) -> tuple[Stored, ...]:
        """Prepared source trees; known servers are a few files each and stay."""
        used = self._used()
        return tuple(_image(image, in_use=image.id in used) for image in self._images.all() if image.is_source)

    def stored(self) -> tuple[Stored, ...]:
        """Everything, measured file by file."""
        return (*self.images_here(), *self._dependencies(), *self._packages(), *self._data(), *self._logs())

    def discard(self, one: Stored) -> bool:
        """Remove one thing, and the dependencies that were prepared for it alone; not what a replica needs by now."""
        match one.kind:
            case Kind.IMAGE if one.id in self._used():
                return False
            case Kind.IMAGE:
                self._images.remove(one.id)
                self._discard_unused()
                return True
            case Kind.DEPENDENCIES | Kind.CACHE:
                shutil.rmtree(one.id, ignore_errors=True)
                return True
            case Kind.LOG:
                Path(one.id).unlink(missing_ok=True)
                return True
            case _:
                return False

    def _discard_unused(self) -> None:
        for one in self._dependencies():
            if not one.in_use:
                self.discard(one)

    def _dependencies(self) -> Iterator[Stored]:
        used = self._images.used_caches()
        for kind in ("venvs", "node"):
            for entry in sorted(path for path in (self._caches / kind).glob("*") if path.is_dir()):
                mark = entry / COMPLETE
                is_whole = mark.exists()
                made = (mark if is_whole else entry).stat().st_mtime
                is_fresh = clock.now() - made < _FRESH if is_whole else is_held(entry.with_name(f"{entry.name}.lock"))
                yield Stored(
                    kind=Kind.DEPENDENCIES,
                    id=str(entry),
                    names=(f"{kind}/{entry.name[:12]}",),
                    size=size_of(entry),
                    in_use=str(entry) in used or is_fresh,
                    created=made,
                )

    def _packages(self) -> Iterator[Stored]:
        """What package managers keep here to install faster."""
        for entry in sorted((self._caches / "packages").glob("*")):
            yield Stored(
                kind=Kind.CACHE, id=str(entry), names=(f"packages of {entry.name}",), size=size_of(entry),
                created=entry.stat().st_mtime,
            )  # fmt: skip

    def _data(self) -> Iterator[Stored]:
        for volume in self._volumes.listed():
            data = self._volumes.data(volume.name)
            size = size_of(data) if data else 0
            yield Stored(
                kind=Kind.VOLUME, id=volume.name, names=(volume.name,), instance=volume.instance, size=size, in_use=True
            )

    def _logs(self) -> Iterator[Stored]:
        for one in self._everybody():
            launch = one.launch
            for path in log_paths(str(self._replicas.directory(launch.instance, launch.service, launch.slot))):
                facts = Path(path).stat()
                yield Stored(
                    kind=Kind.LOG,
                    id=path,
                    names=(f"log of {launch.instance}-{launch.service}-{launch.slot}",),
                    instance=launch.instance,
                    size=facts.st_blocks * 512,
                    in_use=Path(path).name == NAME,
                    created=facts.st_mtime,
                )

    def _used(self) -> set[str]:
        return {one.launch.image_id for one in self._everybody()}

    def _everybody(self) -> Iterator[Found]:
        for instance in self._replicas.instances():
            yield from self._replicas.listed(instance)


def _image(image: Image, *, in_use: bool) -> Stored:
    instance, _, service = image.owner.partition("/")
    return Stored(
        kind=Kind.IMAGE,
        id=image.id,
        names=(f"{instance}/{service or image.id}:{image.id[-12:]}",),
        instance=instance,
        size=image.size,
        in_use=in_use,
        created=image.created,
    )
