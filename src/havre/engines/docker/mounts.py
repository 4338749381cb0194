"""Volumes, binds, tmpfs, secrets and configs: what a container finds in its file system beside its image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from havre.engines.base import Context
from havre.model.project import FileSource, Grant, Mount, MountKind, Service

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedFile:
    """A file whose content is written into the container before it starts; `path` is absolute there."""

    path: str
    content: str
    mode: int = 0o444
    uid: int = 0
    gid: int = 0


def host_mounts(service: Service, context: Context) -> Body:
    """The parts of HostConfig that say what is mounted: `Binds`, `Mounts` and `Tmpfs`, without empty ones.

    Binds in the short form make a missing directory on the server, as Compose does; others must exist.
    """
    binds = [_bind(mount) for mount in service.mounts if _as_bind(mount)]
    mounts = [_mount(mount, context) for mount in service.mounts if not _as_bind(mount)]
    mounts += [
        {"Type": "bind", "Source": source.file, "Target": target, "ReadOnly": True}
        for source, _, target in _granted(service, context)
        if source.file is not None
    ]
    mounts += [{"Type": "volume", "Target": directory} for directory in _writable_directories(service, context)]
    tmpfs = {entry.partition(":")[0]: entry.partition(":")[2] for entry in service.tmpfs}
    found: Body = {"Binds": binds, "Mounts": mounts, "Tmpfs": tmpfs}
    return {name: value for name, value in found.items() if value}


def placed_files(service: Service, context: Context) -> tuple[PlacedFile, ...]:
    """Secrets and configs with inline content: they are copied in, so that the server keeps no plain file of them."""
    return tuple(
        PlacedFile(
            path=target,
            content=source.content,
            mode=0o444 if grant.mode is None else grant.mode,
            uid=_number(grant.uid),
            gid=_number(grant.gid),
        )
        for source, grant, target in _granted(service, context)
        if source.file is None and source.content is not None
    )


def bind_sources(service: Service, context: Context) -> tuple[tuple[str, str, bool], ...]:
    """(path on the server, path in the container, whether a missing directory may be made) of all that is bound."""
    own = [
        (mount.source, mount.target, mount.create_host_path)
        for mount in service.mounts
        if mount.kind is MountKind.BIND and mount.source is not None
    ]
    granted = [
        (source.file, target, False) for source, _, target in _granted(service, context) if source.file is not None
    ]
    return (*own, *granted)


def _as_bind(mount: Mount) -> bool:
    if mount.kind is not MountKind.BIND or mount.source is None or ":" in mount.source + mount.target:
        return False
    return mount.create_host_path or mount.selinux is not None


def _bind(mount: Mount) -> str:
    flags = ["ro"] if mount.read_only else []
    flags += [flag for flag in (mount.selinux, mount.propagation) if flag]
    return ":".join([f"{mount.source}:{mount.target}", *([",".join(flags)] if flags else [])])


def _mount(mount: Mount, context: Context) -> Body:
    found: Body = {"Type": mount.kind.value, "Target": mount.target}
    if mount.source is not None:
        found["Source"] = _volume_name(mount, context)
    if mount.read_only:
        found["ReadOnly"] = True
    extra: Body
    match mount.kind:
        case MountKind.BIND:
            extra = {"Propagation": mount.propagation}
        case MountKind.TMPFS:
            extra = {"SizeBytes": mount.size, "Mode": mount.mode}
        case MountKind.VOLUME:
            labels = dict(mount.labels) or None
            extra = {"NoCopy": mount.nocopy or None, "Labels": labels, "Subpath": mount.subpath}
    given = {name: value for name, value in extra.items() if value is not None}
    if given:
        found[f"{mount.kind.value.capitalize()}Options"] = given
    return found


def _volume_name(mount: Mount, context: Context) -> str | None:
    if mount.kind is not MountKind.VOLUME:
        return mount.source
    return next((volume.name for volume in context.project.volumes if volume.key == mount.source), mount.source)


def _granted(service: Service, context: Context) -> list[tuple[FileSource, Grant, str]]:
    secrets = [(context.file_source("secrets", g.source), g, _target(g, "/run/secrets/")) for g in service.secrets]
    configs = [(context.file_source("configs", g.source), g, _target(g, "/")) for g in service.configs]
    return secrets + configs


def _target(grant: Grant, directory: str) -> str:
    wanted = grant.target or grant.source
    return wanted if wanted.startswith("/") else directory + wanted


def _writable_directories(service: Service, context: Context) -> list[str]:
    """Where a read-only container still needs room for files copied in: a small volume that goes with it."""
    if not service.read_only:
        return []
    taken = {mount.target.rstrip("/") for mount in service.mounts}
    directories = {placed.path.rpartition("/")[0] for placed in placed_files(service, context)}
    return sorted(directory for directory in directories if directory and directory not in taken)


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0
