"""Looks into an image without running it: which programs and libraries it has, and what made it as big as it is."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence

from havre.engines.docker.client import DockerClient

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LAYERS = 3
LONGEST = 90
PYTHON_HOMES = ("/usr/local", "/usr", "/opt/venv", "/venv", "/app/.venv", "/app/venv")
PYTHON_MINORS = range(8, 16)
CUDA_HOMES = ("/usr/local/cuda", "/opt/nvidia")

LOOK = "havre.look"
"""On containers that are made to be looked into, and never started."""

_GIVEN = re.compile(r"^(?:RUN )?\|\d+ (.*?)(?=/bin/\w*sh -c |$)")
"""`|2 TOKEN=abc MODE=x /bin/sh -c make` (BuildKit puts `RUN` before it): what the builder was given."""

_DEFAULT = re.compile(r"^(?:/bin/\w*sh -c #\(nop\) +)?ARG (.*)$")
_ARGUMENT = re.compile(r"([A-Za-z_]\w*)=(\S*)")

_DOING = "look which programs an image has"
_READING = "look what is written into an image"


def programs_in(client: DockerClient, image_id: str, programs: Sequence[str]) -> Mapping[str, bool]:
    """For each program, a name or an absolute path, whether the image has it; the container is removed again."""
    details = client.get(f"/images/{image_id}/json", doing=_DOING)
    directories = _search_path(details.get("Config") or {})
    with _unstarted(client, image_id) as container:
        return {program: _has(client, container, program, directories) for program in programs}


def biggest_layers(client: DockerClient, image_id: str) -> tuple[tuple[int, str], ...]:
    """(bytes, the command that made it), the biggest first; build arguments are left out, they may be secret."""
    history = client.get(f"/images/{image_id}/history", doing=_DOING)
    layers = [(int(entry.get("Size", 0)), _command(entry.get("CreatedBy", ""))) for entry in history]
    return tuple(sorted((layer for layer in layers if layer[0]), key=lambda layer: -layer[0])[:LAYERS])


def gpu_libraries_in(client: DockerClient, image_id: str) -> tuple[str, ...]:
    """The directories of CUDA that are in an image, where Python packages and NVIDIA's own installers put them."""
    details = client.get(f"/images/{image_id}/json", doing=_DOING)
    roots = [path.rpartition("/")[0] for path in _search_path(details.get("Config") or {}) if path.endswith("/bin")]
    places = [
        f"{root}/lib/python3.{minor}/site-packages/nvidia"
        for root in dict.fromkeys((*roots, *PYTHON_HOMES))
        for minor in PYTHON_MINORS
    ]
    with _unstarted(client, image_id) as container:
        return tuple(place for place in (*places, *CUDA_HOMES) if _has(client, container, place, ()))


def _command(made_by: str) -> str:
    """What a layer was made by, as the Dockerfile says it."""
    text = " ".join(made_by.split())
    text = re.sub(r"^(?:RUN )?\|\d+ .*?(?=/bin/sh -c )", "", text)
    text = text.replace("/bin/sh -c #(nop) ", "").replace("/bin/sh -c ", "RUN ", 1).replace("RUN RUN ", "RUN ")
    return text.partition(" # buildkit")[0][:LONGEST].strip()


def settings_in(client: DockerClient, image_id: str) -> tuple[tuple[str, str], ...]:
    """The image's environment and labels, and the build arguments that its history repeats before each command."""
    config = client.get(f"/images/{image_id}/json", doing=_READING).get("Config") or {}
    pairs = [entry.partition("=") for entry in config.get("Env") or []]
    given = [pair for step in steps_of(client, image_id) for pair in arguments(step)]
    labels = (config.get("Labels") or {}).items()
    return tuple(dict.fromkeys([*((name, value) for name, _, value in pairs), *labels, *given]))


def steps_of(client: DockerClient, image_id: str) -> tuple[str, ...]:
    """The commands that its layers were made by, as whoever has the image can read them."""
    history = client.get(f"/images/{image_id}/history", doing=_READING)
    return tuple(str(step.get("CreatedBy") or "") for step in history)


def arguments(step: str) -> list[tuple[str, str]]:
    """(name, value) of the build arguments that one step of a history shows."""
    found = _GIVEN.match(step) or _DEFAULT.match(step)
    return _ARGUMENT.findall(found[1]) if found else []


def _search_path(config: Mapping[str, object]) -> list[str]:
    environment = config.get("Env") or []
    assert isinstance(environment, list)
    path = next((entry.removeprefix("PATH=") for entry in environment if entry.startswith("PATH=")), DEFAULT_PATH)
    return [directory.rstrip("/") for directory in path.split(":") if directory.startswith("/")]


@contextlib.contextmanager
def _unstarted(client: DockerClient, image_id: str) -> Iterator[str]:
    body = {"Image": image_id, "Cmd": ["true"], "NetworkDisabled": True, "Labels": {LOOK: "programs"}}
    container = str(client.post("/containers/create", body, doing=_DOING).json()["Id"])
    try:
        yield container
    finally:
        client.delete(f"/containers/{container}", {"force": True, "v": True}, doing=_DOING)


def _has(client: DockerClient, container: str, program: str, directories: Sequence[str]) -> bool:
    candidates = [program] if program.startswith("/") else [f"{directory}/{program}" for directory in directories]
    path = f"/containers/{container}/archive"
    return any(client.head(path, {"path": candidate}, doing=_DOING) is not None for candidate in candidates)
