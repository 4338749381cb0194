"""What takes room on a Docker Engine: images, containers, volumes, logs and the build cache, and whose they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from havre.engines.docker import labels
from havre.engines.docker.client import DockerClient
from havre.engines.docker.images import Images
from havre.engines.docker.lookup import LOOK
from havre.host import clock
from havre.model.upkeep import Kind, Stored

Json = Mapping[str, Any]

_DOING = "look what takes room"
_PATIENCE = 300.0
"""Seconds; the engine measures every volume, file by file."""

_LOOKING = 600.0
"""Seconds for which a container that is made to be looked into may be in use."""

_ANONYMOUS = re.compile(r"[0-9a-f]{64}")

_UNUSED_FOR = {"until": ["1h"]}
"""What a build that is under way has just used stays."""


class Upkeep:
    """The room that one engine takes."""

    def __init__(self, client: DockerClient, images: Images) -> None:
        self._client = client
        self._images = images

    def root(self) -> Path | None:
        """The engine's data directory; None when the engine is on another machine."""
        return Path(self._client.get("/info", doing=_DOING)["DockerRootDir"]) if self._client.is_local else None

    def images_here(self) -> tuple[Stored, ...]:
        """Every image, with its whole size; one list of images and one of containers."""
        listed = self._client.get("/images/json", doing=_DOING)
        containers = self._client.get("/containers/json", {"all": True}, doing=_DOING)
        used = {entry["ImageID"] for entry in containers}
        return tuple(_image(entry, int(entry.get("Size", 0)), in_use=entry["Id"] in used) for entry in listed)

    def stored(self) -> tuple[Stored, ...]:
        """Everything, as the engine measures it."""
        with self._client.stream("GET", "/system/df", doing=_DOING, timeout=_PATIENCE) as answer:
            found = next(iter(answer.messages()))
        return (*_images(found), *_containers(found), *self._logs(found), *_volumes(found), *_cache(found))

    def discard(self, one: Stored) -> bool:
        """Remove one thing; the engine itself refuses what a container uses."""
        match one.kind:
            case Kind.IMAGE:
                return self._images.remove(one.id)
            case Kind.CONTAINER:
                path = f"/containers/{one.id}"
                reply = self._client.delete(path, {"v": True}, doing=f"remove {one.name}", accept=(404, 409))
                return reply.status in (204, 404)
            case Kind.CACHE:
                query = {"all": True, "filters": _UNUSED_FOR}
                self._client.post("/build/prune", None, query, doing="empty the build cache", timeout=_PATIENCE)
                return True
            case Kind.LOG:
                Path(one.id).unlink(missing_ok=True)
                return True
            case _:
                return False

    def _logs(self, found: Json) -> Iterator[Stored]:
        """Log files of containers; only where the engine's files are this machine's, and readable."""
        if (data := self.root()) is None:
            return
        root = data / "containers"
        for entry in found.get("Containers") or ():
            for path in sorted((root / entry["Id"]).glob("*-json.log*")):
                yield _log(entry, path)


def _images(found: Json) -> Iterator[Stored]:
    own = 0
    for entry in found.get("Images") or ():
        size = max(0, int(entry.get("Size", 0)) - max(0, int(entry.get("SharedSize", 0))))
        own += size
        yield _image(entry, size, in_use=int(entry.get("Containers", 0)) > 0)
    shared = int(found.get("LayersSize") or 0) - own
    if shared > 0:
        names = ("layers that several images share",)
        yield Stored(kind=Kind.LAYERS, id="layers", names=names, size=shared, in_use=True)


def _image(entry: Json, size: int, *, in_use: bool) -> Stored:
    own = (entry.get("Labels") or {}).get(labels.INSTANCE, "")
    names = tuple(tag for tag in entry.get("RepoTags") or () if "<none>" not in tag)
    return Stored(
        kind=Kind.IMAGE,
        id=entry["Id"],
        names=names,
        instance=own if _is_built_for(own, names) else "",
        size=size,
        in_use=in_use,
        created=float(entry.get("Created") or 0),
    )


def _is_built_for(instance: str, names: tuple[str, ...]) -> bool:
    """An image that somebody made from one of ours has its labels too, and a name of its own."""
    return bool(instance) and (not names or any(name.startswith(f"{instance}/") for name in names))


def _containers(found: Json) -> Iterator[Stored]:
    for entry in found.get("Containers") or ():
        own = entry.get("Labels") or {}
        yield Stored(
            kind=Kind.CONTAINER,
            id=entry["Id"],
            names=_names(entry),
            instance=own.get(labels.INSTANCE, ""),
            size=int(entry.get("SizeRw") or 0),
            in_use=LOOK not in own or clock.now() - float(entry.get("Created") or 0) < _LOOKING,
            created=float(entry.get("Created") or 0),
        )


def _log(entry: Json, path: Path) -> Stored:
    facts = path.stat()
    return Stored(
        kind=Kind.LOG,
        id=str(path),
        names=tuple(f"log of {name}" for name in _names(entry)[:1]),
        instance=(entry.get("Labels") or {}).get(labels.INSTANCE, ""),
        size=facts.st_blocks * 512,
        in_use=path.name.endswith("-json.log"),
        created=facts.st_mtime,
    )


def _volumes(found: Json) -> Iterator[Stored]:
    for entry in found.get("Volumes") or ():
        usage = entry.get("UsageData") or {}
        yield Stored(
            kind=Kind.VOLUME,
            id=entry["Name"],
            names=(f"anonymous {entry['Name'][:12]}" if _ANONYMOUS.fullmatch(entry["Name"]) else entry["Name"],),
            instance=(entry.get("Labels") or {}).get(labels.INSTANCE, ""),
            size=max(0, int(usage.get("Size", 0))),
            in_use=True,
        )


def _cache(found: Json) -> Iterator[Stored]:
    entries = found.get("BuildCache") or ()
    size = sum(int(entry.get("Size", 0)) for entry in entries if not entry.get("Shared"))
    if size:
        yield Stored(kind=Kind.CACHE, id="build cache", names=("of everybody who builds on this engine",), size=size)


def _names(entry: Json) -> tuple[str, ...]:
    return tuple(name.lstrip("/") for name in entry.get("Names") or ())
