"""What this engine has in the place of images: prepared source trees and known servers, each by its id.

An image is `images/ID/image.json`, with the immutable source in `images/ID/app`; `references.json` says which id a
reference means now, as tags do.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from havre.host.files import write_atomic
from havre.host.locks import exclusive


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """Something a replica can run. `programs` and `environment` are what it brings; `reveal` what it needs to reach.

    `kind` is `source` or the family of a known server. `commands` are (process name, shell line) of the Procfile,
    `own` those that the manifest gives (service, shell line); `command` and `entrypoint` are the Dockerfile's.
    """

    id: str
    kind: str = "source"
    version: str = ""
    workdir: str = "/app"
    environment: tuple[tuple[str, str], ...] = ()
    programs: tuple[str, ...] = ()
    reveal: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    commands: tuple[tuple[str, str], ...] = ()
    own: tuple[tuple[str, str], ...] = ()
    health: tuple[str, ...] | None = None
    ahead: tuple[tuple[str, str], ...] = ()
    """Variables that it says a part of, before whatever else is said of them (`listening.py`)."""
    caches: tuple[str, ...] = ()
    """Prepared dependencies that it uses; they are kept as long as it is."""
    owner: str = ""
    created: float = 0.0
    size: int = 0

    @property
    def is_source(self) -> bool:
        """True when it was prepared from a source tree."""
        return self.kind == "source"


class Images:
    """The images below `state`."""

    def __init__(self, state: Path) -> None:
        self._root = state / "images"
        self._references = state / "references.json"
        self._lock = state / "references.lock"

    def directory(self, image_id: str) -> Path:
        """Where an image lies, or is to lie."""
        return self._root / image_id

    def source(self, image_id: str) -> Path:
        """Its immutable source tree."""
        return self._root / image_id / "app"

    def find(self, reference: str) -> Image | None:
        """The image that a reference, or an id, means; None when it is not here."""
        return self.get(self._known().get(reference, reference))

    def get(self, image_id: str) -> Image | None:
        """The image with that id."""
        path = self._root / image_id / "image.json"
        if "/" in image_id or ":" in image_id or not path.exists():
            return None
        return msgspec.json.decode(path.read_bytes(), type=Image)

    def keep(self, image: Image, *, reference: str) -> None:
        """Record an image whose source tree is in place, and what it is called."""
        if self.get(image.id) is None:
            write_atomic(self.directory(image.id) / "image.json", msgspec.json.encode(image))
        self.name(image.id, reference)

    def name(self, image_id: str, reference: str) -> None:
        """Let a reference mean that image from now on."""
        with exclusive(self._lock, what="the image references", doing="record", wait=30.0):
            write_atomic(self._references, msgspec.json.encode({**self._known(), reference: image_id}))

    def touch(self, image: Image, at: float) -> None:
        """It was wanted again: it counts as the newest of its owner."""
        write_atomic(self.directory(image.id) / "image.json", msgspec.json.encode(replace(image, created=at)))

    def all(self) -> Iterator[Image]:
        """Every image that is here."""
        if self._root.is_dir():
            found = (self.get(entry.name) for entry in sorted(self._root.iterdir()))
            yield from (image for image in found if image is not None)

    def remove(self, image_id: str) -> None:
        """Remove an image with its source tree."""
        shutil.rmtree(self.directory(image_id), ignore_errors=True)

    def used_caches(self) -> frozenset[str]:
        """The prepared dependencies that some image uses."""
        return frozenset(name for image in self.all() for name in image.caches)

    def _known(self) -> dict[str, str]:
        if not self._references.exists():
            return {}
        return msgspec.json.decode(self._references.read_bytes(), type=dict[str, str])
