"""Images as the engine has them: which are present, what is inside, and which no release needs any more."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from havre.engines.docker import labels, snapshot
from havre.engines.docker.client import DockerClient
from havre.model.observed import ObservedImage

Json = Mapping[str, Any]

_DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Images:
    """The images of one engine."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client
        self._inspected: dict[str, Json] = {}
        self._lock = threading.Lock()

    def present(self, references: Sequence[str]) -> tuple[ObservedImage, ...]:
        """Those of the references that are here; one list for all, and each image looked into only once."""
        wanted = list(dict.fromkeys(references))
        if not wanted:
            return ()
        listed = self._listed()
        found = []
        for reference in wanted:
            entry = listed.get(snapshot.familiar(reference)) or listed.get(reference)
            if entry and (inspected := self._inspect(entry["Id"])):
                names = {"RepoDigests": entry.get("RepoDigests")}
                found.append(snapshot.image(reference, {**inspected, **names}))
        return tuple(found)

    def missing_programs(self, image: str, programs: Sequence[str]) -> tuple[str, ...]:
        """Those of the programs that are not in the image; the image is looked into, never run."""
        doing = f"look into {image}"
        body = {"Image": image, "Cmd": ["none"], "Labels": {labels.ROLE: "inspection"}}
        container = self._client.post("/containers/create", body, doing=doing).json()["Id"]
        try:
            directories = self._path_of(container, doing=doing)
            return tuple(name for name in programs if not self._has(container, name, directories, doing=doing))
        finally:
            self._client.delete(f"/containers/{container}", {"v": True, "force": True}, doing=doing)

    def prune(self, instance: str, keep: Collection[str]) -> tuple[tuple[str, int], ...]:
        """Remove images built for this instance that are neither kept nor used; (reference, bytes) of each."""
        query = {"filters": {"label": [f"{labels.INSTANCE}={instance}"]}}
        removed = []
        for found in self._client.get("/images/json", query, doing=f"list the images of {instance}"):
            if found["Id"] in keep:
                continue
            name = next((tag for tag in found.get("RepoTags") or () if "<none>" not in tag), found["Id"])
            if self._remove(found):
                removed.append((name, int(found.get("Size", 0))))
        return tuple(removed)

    def _remove(self, found: Json) -> bool:
        """Remove all of an image's names; an image that a container uses is left (409)."""
        tags = [tag for tag in found.get("RepoTags") or () if "<none>" not in tag] or [found["Id"]]
        statuses = [
            self._client.delete(f"/images/{tag}", doing=f"remove image {tag}", accept=(404, 409)).status for tag in tags
        ]
        return all(status == 200 for status in statuses)

    def _listed(self) -> dict[str, Json]:
        """All local images, by each of their names."""
        found: dict[str, Json] = {}
        for entry in self._client.get("/images/json", doing="list images"):
            names = [*(entry.get("RepoTags") or ()), *(entry.get("RepoDigests") or ()), entry["Id"]]
            found |= dict.fromkeys(names, entry)
        return found

    def _inspect(self, image: str) -> Json | None:
        """Everything about an image; what an id stands for never changes, so each is asked once, but for its names."""
        with self._lock:
            known = self._inspected.get(image)
        if known is None:
            known = self._client.find(f"/images/{image}/json", doing=f"look at image {image}")
            if known is not None:
                with self._lock:
                    self._inspected[image] = known
        return known

    def _path_of(self, container: str, *, doing: str) -> tuple[str, ...]:
        config = self._client.get(f"/containers/{container}/json", doing=doing)["Config"]
        entries = [entry for entry in config.get("Env") or () if entry.startswith("PATH=")]
        return tuple((entries or [_DEFAULT_PATH])[0].removeprefix("PATH=").split(":"))

    def _has(self, container: str, program: str, directories: Sequence[str], *, doing: str) -> bool:
        places = [program] if "/" in program else [f"{directory.rstrip('/')}/{program}" for directory in directories]
        path = f"/containers/{container}/archive"
        return any(self._client.head(path, {"path": place}, doing=doing) is not None for place in places)
