"""Fetch images from their registries, with the credentials that `docker login` left, telling the progress."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from havre.engines.base import Progress
from havre.engines.docker.client import DockerClient
from havre.engines.docker.faults import Asked, explain
from havre.host.commands import find_program, run
from havre.model.units import show_bytes

Json = Mapping[str, Any]

DOCKER_HUB = "https://index.docker.io/v1/"


def pull(
    client: DockerClient, reference: str, platform: str | None, credentials: Credentials, progress: Progress | None
) -> None:
    """Fetch `reference`; returns when it is here."""
    name, tag = split_reference(reference)
    query = {"fromImage": name, "tag": tag, "platform": platform}
    doing = f"pull {reference}"
    headers = credentials.for_pull(reference)
    layers = _Layers(reference, progress)
    with client.stream("POST", "/images/create", query, doing=doing, headers=headers) as stream:
        for message in stream.messages():
            if message.get("error"):
                raise explain(500, message["error"], Asked(method="POST", path="/images/create", doing=doing))
            layers.note(message)


def split_reference(reference: str) -> tuple[str, str]:
    """(repository, tag or digest) as the engine's API wants them; without a tag `latest`, never all tags."""
    if "@" in reference:
        name, _, digest = reference.partition("@")
        return name, digest
    head, slash, last = reference.rpartition("/")
    name, _, tag = last.partition(":")
    return f"{head}{slash}{name}", tag or "latest"


def registry_of(reference: str) -> str:
    """The registry a reference leads to, by the name under which `docker login` keeps its credentials."""
    first, slash, _ = reference.partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    return first if named and first not in {"docker.io", "index.docker.io"} else DOCKER_HUB


class Credentials:
    """What `docker login` left in config.json: kept there, or with one of its credential helpers."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "config.json"

    def for_pull(self, reference: str) -> dict[str, str]:
        """The header that lets the engine log in to the registry; empty when there are no credentials."""
        registry = registry_of(reference)
        found = self._find(self._read(), registry)
        return {"X-Registry-Auth": _encoded(found)} if found else {}

    def for_build(self) -> dict[str, str]:
        """The header with every registry's credentials, for the base images of a build."""
        config = self._read()
        found = {registry: self._find(config, registry) for registry in config.get("auths") or {}}
        known = {registry: entry for registry, entry in found.items() if entry}
        return {"X-Registry-Config": _encoded(known)} if known else {}

    def _read(self) -> Json:
        try:
            found = msgspec.json.decode(self._file.read_bytes())
        except (OSError, msgspec.DecodeError):
            return {}  # never logged in; the registry itself will say when that is not enough
        return found if isinstance(found, dict) else {}

    def _find(self, config: Json, registry: str) -> dict[str, str] | None:
        helper = (config.get("credHelpers") or {}).get(registry) or config.get("credsStore")
        if helper and (found := _from_helper(str(helper), registry)):
            return found
        auths: Json = config.get("auths") or {}
        entry = auths.get(registry) or auths.get(f"https://{registry}") or auths.get(f"http://{registry}") or {}
        if entry.get("identitytoken"):
            return {"identitytoken": entry["identitytoken"], "serveraddress": registry}
        user, _, password = base64.b64decode(entry.get("auth") or "").decode(errors="replace").partition(":")
        return {"username": user, "password": password, "serveraddress": registry} if user else None


class _Layers:
    """Progress of a pull, told once per finished layer instead of once per network packet."""

    def __init__(self, reference: str, progress: Progress | None) -> None:
        self._reference = reference
        self._progress = progress
        self._sizes: dict[str, int] = {}
        self._known: set[str] = set()
        self._done: set[str] = set()

    def note(self, message: Json) -> None:
        layer, status = message.get("id", ""), message.get("status", "")
        detail = message.get("progressDetail") or {}
        if status == "Pulling fs layer":
            self._known.add(layer)
        elif status == "Downloading" and detail.get("total"):
            self._sizes[layer] = detail["total"]
        elif status in {"Pull complete", "Already exists"}:
            self._known.add(layer)
            self._done.add(layer)
            self._say()
        elif status.startswith("Status: ") and self._progress is not None:
            self._progress(f"{self._reference}: {status.removeprefix('Status: ')}")

    def _say(self) -> None:
        if self._progress is not None:
            size = show_bytes(sum(self._sizes.values()))
            self._progress(f"{self._reference}: {len(self._done)} of {len(self._known)} layers ({size} to fetch)")


def _from_helper(helper: str, registry: str) -> dict[str, str] | None:
    program = find_program(f"docker-credential-{helper}")
    if program is None:
        return None
    done = run([program, "get"], stdin=registry.encode(), check=False, timeout=20.0)
    if done.exit_code != 0:
        return None  # the helper has none for this registry
    found = msgspec.json.decode(done.stdout)
    if found.get("Username") == "<token>":
        return {"identitytoken": found["Secret"], "serveraddress": registry}
    return {"username": found["Username"], "password": found["Secret"], "serveraddress": registry}


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode()
