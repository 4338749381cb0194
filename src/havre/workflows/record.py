"""What a release remembers: its configuration, sealed, and the images it pinned (D13, I9)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgspec

from havre.errors import Location, Problem, RefusedError
from havre.host.commands import find_program, run
from havre.model.app import App
from havre.model.observed import Observed
from havre.model.project import Project
from havre.model.project_json import project_from_json, project_to_json
from havre.model.release import PinnedImage
from havre.workflows.server import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The configuration of a release as it was: manifest and project, environment values included."""

    app: App
    project: Project
    files: dict[str, tuple[tuple[str, str], ...]]


def seal_configuration(server: Server, app: App, project: Project, files: object) -> bytes:
    """Everything a rollback needs, sealed with the server's key."""
    content = {
        "app": app_to_json(app).decode(),
        "project": project_to_json(project).decode(),
        "files": files,
    }
    return server.seal(msgspec.json.encode(content))


def app_to_json(app: App) -> bytes:
    """The manifest for the record of a release."""
    return msgspec.json.encode(app, enc_hook=_to_record)


def app_from_json(data: bytes) -> App:
    """The manifest as it was recorded."""
    return msgspec.json.decode(data, type=App, dec_hook=_from_record)


def _to_record(value: object) -> object:
    if isinstance(value, Location):
        return {"file": value.file, "line": value.line, "column": value.column}
    raise NotImplementedError(f"a record cannot hold a {type(value).__name__}")


def _from_record(kind: type, value: object) -> object:
    if kind is Location:
        return Location(**msgspec.convert(value, dict[str, Any]))
    raise NotImplementedError(f"a record cannot hold a {kind.__name__}")


def unseal_configuration(server: Server, instance: str, number: int) -> Recorded:
    """The configuration of a release; raises RefusedError when it is no longer kept."""
    sealed = server.state.releases.sealed(instance, number)
    if not sealed:
        raise RefusedError(_not_kept(instance, number))
    content = msgspec.json.decode(server.unseal(sealed))
    return Recorded(
        app=app_from_json(content["app"].encode()),
        project=project_from_json(content["project"].encode()),
        files=msgspec.convert(content["files"], dict[str, tuple[tuple[str, str], ...]]),
    )


def serving_configuration(server: Server, instance: str) -> Recorded | None:
    """The configuration of the release that serves; None before the first, or when it is no longer kept."""
    serving = server.state.releases.serving(instance)
    if serving is None or not server.state.releases.sealed(instance, serving.number):
        return None
    return unseal_configuration(server, instance, serving.number)


def as_scaled(server: Server, instance: str, project: Project) -> Project:
    """The same with as many replicas of each service as `havre scale` last asked for."""
    scales = server.state.instances.scales(instance)
    services = (replace(one, replicas=scales.get(one.name, one.replicas)) for one in project.services)
    return replace(project, services=tuple(services))


def pinned_images(project: Project, observed: Observed) -> tuple[PinnedImage, ...]:
    """What each service's image reference means on this server now."""
    found = []
    for service in project.services:
        image = observed.image(service.image)
        if image is not None:
            found.append(
                PinnedImage(service=service.name, reference=service.image, image_id=image.id, digest=image.digest)
            )
    return tuple(found)


def source_commit(directory: str) -> tuple[str | None, bool]:
    """The git commit of the app's directory and whether files differ from it; (None, False) outside git."""
    if find_program("git") is None:
        return None, False
    head = run(["git", "-C", directory, "rev-parse", "--short=12", "HEAD"], check=False, timeout=10)
    if head.exit_code != 0:
        return None, False
    changed = run(["git", "-C", directory, "status", "--porcelain", "--", "."], check=False, timeout=20)
    return head.stdout.strip(), bool(changed.stdout.strip())


def _not_kept(instance: str, number: int) -> Problem:
    return Problem(
        summary=f"the configuration of release {number} is no longer kept",
        subject=instance,
        hint="see which releases can be returned to with `havre releases`; `keep_releases` in havre.yaml says how many",
        code="release-not-kept",
    )
