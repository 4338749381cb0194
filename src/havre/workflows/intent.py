"""What the user wants: the manifest and the Compose files, read, resolved and pinned to their sources."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import msgspec

from havre.compose import LoadedProject, LoadRequest, load_project
from havre.compose.discovery import DEFAULT_FILES
from havre.compose.lower import lower
from havre.engines.images import context_digest
from havre.engines.procfile import NAME as PROCFILE
from havre.errors import InputError, Problem
from havre.manifest import load_app
from havre.model.app import App, ProcessSpec
from havre.model.project import Build, MountKind, Project, Service
from havre.workflows.compose_files import ComposeFiles

MANIFEST_NAMES = ("havre.yaml", "havre.yml")
LARGEST_CONFIG = 4 * 1024 * 1024
"""Bytes: a mounted file up to this size is taken for configuration, whose change replaces the replica."""

FileDigests = Mapping[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command line said."""

    manifest: str | None = None
    environment: str | None = None
    compose: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    engine: str | None = None
    directory: str = "."
    variables: Mapping[str, str] = field(default_factory=dict)
    """The process environment, and the instance's own secrets over it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Everything that was asked for, before looking at the server."""

    app: App
    project: Project
    files: FileDigests
    """Per service: (target, sha256) of the configuration files and secrets mounted into it."""
    loaded: LoadedProject | None = None
    """The Compose files; None where the intent comes from a release's record."""
    named: tuple[tuple[str, str], ...] = ()
    """(reference, image id): images that the release itself gives these names."""

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What loading the files had to say."""
        return self.loaded.warnings if self.loaded else ()


def read_app(wish: Wish, *, manifest: bool = True) -> App:
    """The manifest with the command line over it; without one (or with `manifest` False), the directory's name.

    Both are looked for as the Compose CLI looks for its files: here, then in each parent, so that a command means
    the same app in every directory of it. Raises InputError with every problem of the manifest.
    """
    path = _manifest(wish) if manifest else None
    if path is not None:
        app = load_app(path, environment=wish.environment or "production")
    elif wish.environment not in (None, "production"):
        raise InputError(_no_environments(wish))
    else:
        directory = find_project(Path(wish.directory)) or Path(wish.directory).absolute()
        app = App(name=_app_name(directory), directory=str(directory))
    return replace(
        app,
        compose=tuple(str(Path(file).absolute()) for file in wish.compose) or app.compose,
        env_files=tuple(str(Path(file).absolute()) for file in wish.env_files) or app.env_files,
        profiles=wish.profiles or app.profiles,
        engine=wish.engine or app.engine,
    )


def read_intent(wish: Wish, app: App, *, strict: bool = True) -> Intent:
    """Load the Compose files of `app`; raises InputError with every problem at once, each with its place.

    With `strict`, a variable without value or default is a problem (else it is blank with a warning).
    """
    loaded = load_compose(wish, app, strict=strict)
    project = pin_builds(lower(loaded, instance=app.instance), app)
    return Intent(app=app, project=project, loaded=loaded, files=digest_files(project))


def load_compose(wish: Wish, app: App, *, strict: bool, resolve: bool = True) -> LoadedProject:
    """The Compose files in their normal form."""
    directory = Path(app.directory)
    files = ComposeFiles(app)
    return load_project(
        LoadRequest(
            files=tuple(str(directory / file) for file in files.named(wish.variables)),
            working_dir=str(directory),
            environment=wish.variables,
            env_files=tuple(str(directory / file) for file in app.env_files),
            profiles=app.profiles,
            project_name=app.instance,
            resolve=resolve,
            environment_strict=strict,
        ),
        read=files,
    )


def load_and_list_missing(wish: Wish, app: App) -> tuple[LoadedProject, tuple[str, ...]]:
    """The Compose files before anybody has set their variables, and the names of the required ones without a value.

    Those stand in as their own names.
    """
    try:
        return load_compose(wish, app, strict=False), ()
    except InputError as error:
        if any(problem.code != "variable-missing" for problem in error.problems):
            raise
        # The loader's own words: "required variable NAME is missing a value".
        found = (re.search(r"required variable (\w+)", problem.summary) for problem in error.problems)
        missing = {match[1]: match[1].lower() for match in found if match}
    filled = replace(wish, variables={**wish.variables, **missing})
    return load_compose(filled, app, strict=False), tuple(missing)


def pin_builds(project: Project, app: App) -> Project:
    """Name every built image after the content it is built from, so that unchanged sources are not built again.

    How the manifest has it run as processes counts too: it is part of what is prepared there.
    """
    specs = {spec.service: spec for spec in app.processes}
    digest = cache(context_digest)  # what several services are built from is read once
    return replace(
        project,
        services=tuple(_pin(one, app.instance, specs.get(one.name), digest) for one in project.services),
    )


def digest_files(project: Project) -> FileDigests:
    """What is in the files each service mounts read-only, and in its secrets and configs."""
    return {service.name: tuple(_digests(service, project)) for service in project.services}


def _manifest(wish: Wish) -> Path | None:
    if wish.manifest:
        return Path(wish.manifest)
    directory = find_project(Path(wish.directory))
    if directory is None:
        return None
    # Relative, and so shown as the user would write it, where the manifest is here.
    shown = Path(wish.directory) if directory == Path(wish.directory).absolute() else directory
    return next((shown / name for name in MANIFEST_NAMES if (shown / name).is_file()), None)


def find_project(start: Path) -> Path | None:
    """The nearest of `start` and its parents that holds a manifest, a Compose file or a Procfile."""
    start = start.absolute()
    names = (*MANIFEST_NAMES, *DEFAULT_FILES, PROCFILE)
    return next((one for one in (start, *start.parents) if any((one / name).is_file() for name in names)), None)


def _app_name(directory: Path) -> str:
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in directory.name.lower()).strip("-_")
    return name or "app"


def _pin(service: Service, instance: str, spec: ProcessSpec | None, digest_of: Callable[[Build], str]) -> Service:
    if service.build is None:
        return service
    digest = digest_of(replace(service.build, tags=()))[:12]
    if spec is not None:
        said = msgspec.json.encode(msgspec.to_builtins(spec), order="sorted")
        digest = hashlib.sha256(digest.encode() + said).hexdigest()[:12]
    tags = dict.fromkeys([*service.build.tags, service.image])
    build: Build = replace(service.build, tags=tuple(tag for tag in tags if tag))
    return replace(service, image=f"{instance}/{service.name}:{digest}", build=build)


def _digests(service: Service, project: Project) -> list[tuple[str, str]]:
    found = []
    for mount in service.mounts:
        if mount.kind is MountKind.BIND and mount.read_only and mount.source:
            path = Path(mount.source)
            if path.is_file() and path.stat().st_size <= LARGEST_CONFIG:
                found.append((mount.target, hashlib.sha256(path.read_bytes()).hexdigest()))
    for grants, sources in ((service.secrets, project.secrets), (service.configs, project.configs)):
        by_key = {source.key: source for source in sources}
        for grant in grants:
            source = by_key.get(grant.source)
            if source is not None and source.content is not None:
                found.append((grant.target, hashlib.sha256(source.content.encode()).hexdigest()))
            elif source is not None and source.file and Path(source.file).is_file():
                found.append((grant.target, hashlib.sha256(Path(source.file).read_bytes()).hexdigest()))
    return found


def _no_environments(wish: Wish) -> Problem:
    return Problem(
        summary=f"there is no environment `{wish.environment}`: environments are declared in havre.yaml",
        hint="write a first one with `havre init`, then add the environment under `environments:`",
        code="manifest-missing",
    )
