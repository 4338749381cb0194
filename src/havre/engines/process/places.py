"""What a replica finds in its file system: volumes, binds, secrets, its own names; made ready before it starts."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

from havre.engines.base import Context
from havre.engines.process.images import Image
from havre.engines.process.known import family_called
from havre.engines.process.names import nsswitch_text
from havre.engines.process.records import Place
from havre.engines.process.translate import view_places, workdir_of
from havre.engines.process.volumes import Volumes
from havre.errors import InputError, Problem
from havre.host.files import write_atomic
from havre.model.project import Grant, Mount, MountKind, Service


class Ground:
    """The directory of one replica, and who it belongs to; `source` is the image's source tree, if it has one."""

    def __init__(self, directory: Path, source: Path, volumes: Volumes, uid: int, gid: int) -> None:
        self._directory = directory
        self._source = source
        self._volumes = volumes
        self._uid = uid
        self._gid = gid

    def prepare(self, service: Service, image: Image, context: Context) -> tuple[Place, ...]:
        """Make everything ready and say what goes where."""
        for name in ("tmp", "run", "layer/upper", "layer/work"):
            self._own_directory(self._directory / name)
        self._write_names()
        places = [*view_places(str(self._directory), root=self._is_root)]
        if image.is_source:
            places.append(self._release(service, image))
        places += [self._mount(mount, image, context) for mount in service.mounts]
        places += [_temporary(text) for text in service.tmpfs]
        places += self._grants(service, context)
        places += self._expected_volume(service, image)
        return tuple({place.target: place for place in places}.values())

    @property
    def _is_root(self) -> bool:
        return os.geteuid() == 0

    def _release(self, service: Service, image: Image) -> Place:
        target = workdir_of(service, image)
        if service.read_only:
            return Place(kind="bind", target=target, source=str(self._source), read_only=True)
        return Place(kind="layer", target=target, source=f"{self._source}:{self._directory}/layer")

    def _mount(self, mount: Mount, image: Image, context: Context) -> Place:
        match mount.kind:
            case MountKind.TMPFS:
                return Place(kind="tmpfs", target=mount.target, size=mount.size or 0, mode=mount.mode or 0o1777)
            case MountKind.BIND:
                return Place(kind="bind", target=mount.target, source=_bound(mount), read_only=mount.read_only)
            case MountKind.VOLUME:
                source = self._volume(mount, context)
                self._fill(source, mount, image)
                if mount.subpath:
                    source = source / mount.subpath
                return Place(kind="bind", target=mount.target, source=str(source), read_only=mount.read_only)

    def _volume(self, mount: Mount, context: Context) -> Path:
        if mount.source is None:
            name = hashlib.sha256(mount.target.encode()).hexdigest()[:12]
            return self._own_directory(self._directory / "volumes" / name)
        volume = next((one for one in context.project.volumes if one.key == mount.source), None)
        data = self._volumes.data(volume.name if volume else mount.source)
        if data is None:
            raise InputError(_no_volume(mount))
        self._give(data)
        return data

    def _fill(self, target: Path, mount: Mount, image: Image) -> None:
        """A new volume over a directory of the source starts with that directory's content, as in Docker."""
        inside = mount.target.removeprefix(image.workdir.rstrip("/") + "/")
        source = self._source / inside
        if mount.nocopy or inside == mount.target or not source.is_dir() or any(target.iterdir()):
            return
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        if self._is_root:
            for path in target.rglob("*"):
                os.chown(path, self._uid, self._gid, follow_symlinks=False)

    def _grants(self, service: Service, context: Context) -> Iterator[Place]:
        for kind, grants in (("secrets", service.secrets), ("configs", service.configs)):
            for grant in grants:
                path = self._directory / "grants" / hashlib.sha256(grant.target.encode()).hexdigest()[:12]
                write_atomic(path, _content(kind, grant, context), mode=grant.mode or 0o400)
                if self._is_root:
                    os.chown(path, self._uid, self._gid)
                target = grant.target if grant.target.startswith("/") else f"/run/secrets/{grant.target}"
                yield Place(kind="bind", target=target, source=str(path), read_only=True)

    def _expected_volume(self, service: Service, image: Image) -> Iterator[Place]:
        """Where a known image keeps its data, when nothing was mounted there."""
        if image.is_source:
            return
        target = family_called(image.kind).volume
        if not any(mount.target.rstrip("/") in {target, str(Path(target).parent)} for mount in service.mounts):
            yield Place(
                kind="bind", target=target, source=str(self._own_directory(self._directory / "volumes" / "data"))
            )

    def _write_names(self) -> None:
        nsswitch = Path("/etc/nsswitch.conf")
        text = nsswitch.read_text(errors="replace") if nsswitch.exists() else ""
        write_atomic(self._directory / "nsswitch.conf", nsswitch_text(text))
        if self._is_root:
            self._write_users()

    def _write_users(self) -> None:
        """The machine's users and groups with the replica's own: programs want to know who they are."""
        users, groups = Path("/etc/passwd").read_text(), Path("/etc/group").read_text()
        if f":{self._uid}:" not in users:
            users += f"havre:x:{self._uid}:{self._gid}:a replica of Havre:/tmp:/bin/sh\n"
        if f":{self._gid}:" not in groups:
            groups += f"havre:x:{self._gid}:\n"
        write_atomic(self._directory / "passwd", users)
        write_atomic(self._directory / "group", groups)

    def _own_directory(self, path: Path) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        self._give(path)
        return path

    def _give(self, path: Path) -> None:
        """To the replica's user, with all that is in it when it was somebody else's."""
        if not self._is_root or path.stat().st_uid == self._uid:
            return
        for entry in path.rglob("*"):
            os.chown(entry, self._uid, self._gid, follow_symlinks=False)
        os.chown(path, self._uid, self._gid)


def numeric_user(text: str) -> tuple[int, int] | None:
    """(uid, gid) of Compose's `user`, for a number or a name this machine knows; None when it is unknown here."""
    name, _, group = text.partition(":")
    try:
        uid, gid = (int(name),) * 2 if name.isdigit() else pwd.getpwnam(name)[2:4]
        if group:
            gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        return None
    return uid, gid


def cannot_become(text: str) -> bool:
    """Whether Compose's `user` is one that replicas cannot run as: unknown here or, without root, somebody else."""
    named = numeric_user(text)
    return named is None or (os.geteuid() != 0 and named[0] != os.geteuid())


def _bound(mount: Mount) -> str:
    source = Path(mount.source or "/")
    if not source.exists():
        if not mount.create_host_path:
            raise InputError(_no_source(source))
        source.mkdir(parents=True)
    return str(source.resolve())


def _temporary(text: str) -> Place:
    target, _, options = text.partition(":")
    given = dict(option.partition("=")[::2] for option in options.split(","))
    size = given.get("size", "")
    return Place(
        kind="tmpfs",
        target=target,
        size=int(size) if size.isdigit() else 0,
        mode=int(given.get("mode") or "1777", 8),
    )


def _content(kind: str, grant: Grant, context: Context) -> bytes:
    source = context.file_source(kind, grant.source)
    if source.content is not None:
        return source.content.encode()
    path = Path(source.file or "")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(_unreadable(kind, grant, path, error.strerror or "")) from error


def _no_volume(mount: Mount) -> Problem:
    return Problem(
        summary=f"the volume {mount.source} does not exist",
        hint="create it first; an `external` volume is never made by a release",
        code="process-volume",
    )


def _no_source(path: Path) -> Problem:
    return Problem(
        summary=f"{path} does not exist, and the Compose file says not to create it",
        hint="create it, or correct the path",
        code="process-bind",
    )


def _unreadable(kind: str, grant: Grant, path: Path, reason: str) -> Problem:
    return Problem(
        summary=f"the file of {kind[:-1]} {grant.source} cannot be read: {reason}",
        evidence=(str(path),),
        hint="create the file, or correct its path and rights",
        code="process-grant",
    )
