"""Build images: with BuildKit where a client for it is here, else with the engine's classic builder."""

from __future__ import annotations

import io
import posixpath
import tarfile
import tempfile
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from havre.engines.base import Context, Progress
from havre.engines.docker import labels
from havre.engines.docker.build_faults import SHOWN, build_failed, plain
from havre.engines.docker.buildkit import BuildKit
from havre.engines.docker.client import DockerClient
from havre.engines.docker.pulls import Credentials
from havre.engines.images import ContextFile, check_sources, context_files, dockerfile_path, dockerfile_text, is_remote
from havre.errors import FailedError, InputError, Problem
from havre.host import clock
from havre.model.plan import BuildImage
from havre.model.project import Build

Json = Mapping[str, Any]

_OWN_DOCKERFILE = ".havre.dockerfile"
"""The Dockerfile's name in the archive when it is inline or lies outside the context."""


_NOISE = (" ---> ", "Removing intermediate container ")


class Builder:
    """Builds for one engine."""

    def __init__(self, client: DockerClient, credentials: Credentials, buildkit: BuildKit | None = None) -> None:
        self._client = client
        self._credentials = credentials
        self._buildkit = buildkit or BuildKit(client.host)

    def build(self, step: BuildImage, context: Context, progress: Progress | None) -> None:
        """Build the image and give it its names; raises FailedError with the failing step's last lines."""
        started = clock.elapsed()
        check_sources(step.build)
        if self._buildkit.is_here():
            self._buildkit.build(step, context, progress)
        else:
            self._build_classic(step, context, progress)
        if progress is not None:
            progress(f"built {step.reference} in {clock.elapsed() - started:.1f} s")

    def _build_classic(self, step: BuildImage, context: Context, progress: Progress | None) -> None:
        build = step.build
        if build.options:
            raise FailedError(_needs_buildkit(step))
        query = classic_query(step, context.instance)
        headers = {"Content-Type": "application/x-tar", **self._credentials.for_build()}
        doing = f"build the image of {step.service}"
        with tempfile.TemporaryFile() as archive:
            if not is_remote(build.context):
                write_archive(build, archive)
                headers["Content-Length"] = str(archive.tell())
                archive.seek(0)
            body = None if is_remote(build.context) else archive
            with self._client.stream("POST", "/build", query, doing=doing, headers=headers, body=body) as stream:
                _Transcript(step.service, progress).read(stream.messages())


def classic_query(step: BuildImage, instance: str) -> dict[str, object]:
    """The parameters of the classic builder."""
    build = step.build
    own = {labels.INSTANCE: instance, labels.SERVICE: step.service}
    if len(build.platforms) > 1:
        raise FailedError(_needs_buildkit(step))
    return {
        "t": (step.reference, *build.tags),
        "dockerfile": build.dockerfile if is_remote(build.context) else dockerfile_name(build),
        "remote": build.context if is_remote(build.context) else None,
        "buildargs": {name: value for name, value in build.args if value is not None},
        "labels": dict(build.labels) | own,
        "target": build.target,
        "networkmode": build.network,
        "extrahosts": tuple(build.extra_hosts) or None,
        "shmsize": build.shm_size,
        "cachefrom": list(build.cache_from) or None,
        "platform": build.platforms[0] if build.platforms else None,
        "nocache": build.no_cache,
        "pull": build.pull,
        "rm": True,
        "forcerm": True,
    }


def dockerfile_name(build: Build) -> str:
    """Where the Dockerfile is in the archive."""
    if build.dockerfile_inline is not None or _is_outside(build):
        return _OWN_DOCKERFILE
    return posixpath.normpath(build.dockerfile)


def write_archive(build: Build, target: IO[bytes]) -> None:
    """The context as a tar archive, as its ignore file leaves it, and the Dockerfile, which nothing leaves out."""
    text, name = dockerfile_text(build), dockerfile_name(build)
    with tarfile.open(fileobj=target, mode="w") as archive:
        for entry in context_files(build):
            if entry.name != name:
                _add(archive, entry)
        info = tarfile.TarInfo(name)
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))


def _is_outside(build: Build) -> bool:
    return not dockerfile_path(build).resolve().is_relative_to(Path(build.context).resolve())


def _add(archive: tarfile.TarFile, entry: ContextFile) -> None:
    try:
        info = archive.gettarinfo(str(entry.path), arcname=entry.name)
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        if entry.kind != "file":
            archive.addfile(info)
            return
        info.type = tarfile.REGTYPE  # a hard link to an earlier file is sent as a file of its own
        info.size = entry.path.stat().st_size
        with entry.path.open("rb") as content:
            archive.addfile(info, content)
    except OSError as error:
        raise InputError(_unreadable(entry, error)) from error


class _Transcript:
    """The classic builder's words: told as they come, and the failing step's kept."""

    def __init__(self, service: str, progress: Progress | None) -> None:
        self._service = service
        self._progress = progress
        self._started = clock.elapsed()
        self._step = ""
        self._lines: deque[str] = deque(maxlen=SHOWN)

    def read(self, messages: Any) -> None:
        """Read to the end; raises FailedError when the builder reports an error."""
        rest, built = "", False
        for message in messages:
            built = built or "ID" in (message.get("aux") or {})
            *whole, rest = (rest + (message.get("stream") or "")).split("\n")
            for line in whole:
                self._note(line)
            if message.get("error"):
                self._note(rest)
                seconds = clock.elapsed() - self._started
                raise build_failed(self._service, self._step, list(self._lines), message["error"], seconds)
        if not built:
            raise FailedError(_cut_short(self._service))

    def _note(self, told: str) -> None:
        line = plain(told)
        if not line.strip() or line.startswith(_NOISE):
            return
        if line.startswith("Step "):
            self._step = line
            self._lines.clear()
        else:
            self._lines.append(line)
        if self._progress is not None:
            self._progress(line)


def _cut_short(service: str) -> Problem:
    return Problem(
        summary=f"the build of {service} ended without an image",
        subject=service,
        hint="the Docker Engine may have been restarted (`journalctl -u docker`); deploy again",
        code="build-failed",
    )


def _needs_buildkit(step: BuildImage) -> Problem:
    keys = ", ".join(f"`build.{name}`" for name, _ in step.build.options) or "several `build.platforms`"
    return Problem(
        summary=f"the build of {step.service} needs BuildKit for {keys}",
        subject=step.service,
        hint="install the docker-buildx plugin on this server, or remove those keys",
        code="buildkit-missing",
    )


def _unreadable(entry: ContextFile, error: OSError) -> Problem:
    return Problem(
        summary=f"{entry.path} in the build context cannot be read: {error.strerror}",
        hint="make it readable, or list it in .dockerignore",
        code="build-context",
    )
