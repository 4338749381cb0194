"""Images as the engine has them: which are present, what they say of themselves, and letting go of one."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from havre.engines.base import Source
from havre.engines.docker import snapshot
from havre.engines.docker.client import DockerClient
from havre.errors import FailedError, Problem
from havre.model.images import image_tag
from havre.model.observed import ObservedImage

Json = Mapping[str, Any]


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

    def tag(self, image_id: str, reference: str) -> None:
        """Give an image another name; a name that meant another image means this one from now on."""
        repository, tag = image_tag(reference)
        query = {"repo": repository, "tag": tag or "latest"}
        self._client.post(f"/images/{image_id}/tag", None, query, doing=f"name an image {reference}")

    def save(self, references: Sequence[str], sink: BinaryIO) -> None:
        """Write images, with the layers they need, as the archive that `load` and `docker load` read."""
        query = {"names": tuple(references)}
        with self._client.stream("GET", "/images/get", query, doing="write images into an archive") as stream:
            sink.writelines(stream.chunks())

    def load(self, source: Source) -> None:
        """Take the images of such an archive; those that are here already stay as they are."""
        doing = "load images from an archive"
        headers = {"Content-Type": "application/x-tar"}
        query = {"quiet": True}
        with self._client.stream("POST", "/images/load", query, doing=doing, headers=headers, body=source) as stream:
            for message in stream.messages():
                if message.get("error"):
                    raise FailedError(_not_loaded(message["error"]))

    def remove(self, image_id: str) -> bool:
        """Remove an image under all its names; one that a container uses is left (409)."""
        found = self._client.find(f"/images/{image_id}/json", doing="look at an image")
        if found is None:
            return True
        tags = [tag for tag in found.get("RepoTags") or () if "<none>" not in tag] or [image_id]
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


def _not_loaded(told: str) -> Problem:
    return Problem(
        summary="the archive's images could not be loaded",
        evidence=(told,),
        hint="write the archive again; a transfer that was cut short leaves half of one",
        code="images-not-loaded",
    )
