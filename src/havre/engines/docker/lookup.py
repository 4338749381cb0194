"""Looks into an image without running it: which programs it has, asked of a container that is never started."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from havre.engines.docker.client import DockerClient

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DOING = "look which programs an image has"


def programs_in(client: DockerClient, image_id: str, programs: Sequence[str]) -> Mapping[str, bool]:
    """For each program, a name or an absolute path, whether the image has it; the container is removed again."""
    details = client.get(f"/images/{image_id}/json", doing=_DOING)
    directories = _search_path(details.get("Config") or {})
    with _unstarted(client, image_id) as container:
        return {program: _has(client, container, program, directories) for program in programs}


def _search_path(config: Mapping[str, object]) -> list[str]:
    environment = config.get("Env") or []
    assert isinstance(environment, list)
    path = next((entry.removeprefix("PATH=") for entry in environment if entry.startswith("PATH=")), DEFAULT_PATH)
    return [directory.rstrip("/") for directory in path.split(":") if directory.startswith("/")]


@contextlib.contextmanager
def _unstarted(client: DockerClient, image_id: str) -> Iterator[str]:
    body = {"Image": image_id, "Cmd": ["true"], "NetworkDisabled": True, "Labels": {"havre.look": "programs"}}
    container = str(client.post("/containers/create", body, doing=_DOING).json()["Id"])
    try:
        yield container
    finally:
        client.delete(f"/containers/{container}", {"force": True, "v": True}, doing=_DOING)


def _has(client: DockerClient, container: str, program: str, directories: Sequence[str]) -> bool:
    candidates = [program] if program.startswith("/") else [f"{directory}/{program}" for directory in directories]
    path = f"/containers/{container}/archive"
    return any(client.head(path, {"path": candidate}, doing=_DOING) is not None for candidate in candidates)
