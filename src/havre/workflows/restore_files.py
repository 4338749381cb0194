"""Restore directories: beside what is live and compared before anything changes, then swapped; or in a new volume."""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import BinaryIO

from havre.backups.place import answered
from havre.backups.swapping import SCRIPT
from havre.backups.tararchive import TarReader
from havre.engines.base import Context
from havre.errors import FailedError, InputError, Problem
from havre.model.backup import Part
from havre.model.plan import CreateVolume, RemoveReplica, RemoveVolume, RunTask, StartReplica, StopReplica
from havre.model.project import Mount, MountKind, Project, Restart, Service, Volume
from havre.workflows.places import IDLE, ReplicaPlace, place_of, standing_still, throw_away, writers_of
from havre.workflows.server import Server

OURS = ".havre-"
"""How names begin that a restore makes inside a directory."""
_SWAP = f"""
set -- "$1" "$2" "$3" '{OURS}*'
finish() {{
    chmod "$(stat -c %a "$new")" .
    if [ "$(id -u)" = 0 ]; then chown "$(stat -c %u:%g "$new")" .; fi
}}
{SCRIPT}
"""
_REMOVE = f'cd "$1" && rm -rf {OURS}new-* {OURS}old-* {OURS}bad-*'


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The directories of one snapshot of a service; `mark` is part of every name that is made."""

    server: Server
    project: Project
    instance: str
    service: Service
    parts: Sequence[Part]
    open: Callable[[Part], AbstractContextManager[BinaryIO]]
    mark: str
    progress: Callable[[str], None] = lambda _: None

    def swap_in(self) -> None:
        """They take the place of the live ones, which are as they were when anything of it fails."""
        place = place_of(self.server, self.instance, self.service.name)
        try:
            for part in self.parts:
                self._stage(place, part)
            self._swap()
        finally:
            for part in self.parts:
                self._task("clear up", _REMOVE, part.target)

    def into_volume(self, name: str) -> None:
        """The one directory, in a new volume of that name."""
        if any(volume.name == name for volume in self.server.engine.observe(self.instance).volumes):
            raise InputError(name_taken("volume", name))
        engine, [part] = self.server.engine, self.parts
        engine.perform(CreateVolume(volume=Volume(key=name, name=name)), self._context)
        try:
            self._fill_volume(name, part)
        except BaseException:
            engine.perform(RemoveVolume(name=name), self._context)
            raise

    def _stage(self, place: ReplicaPlace, part: Part) -> None:
        place.write_files(part.target, _empty_directory(self._new, _owner(place, part.target)))
        with self.open(part) as archive:
            place.write_files(posixpath.join(part.target, self._new), archive)
        _compare(place, part, posixpath.join(part.target, self._new, _last(part.target)))

    def _swap(self) -> None:
        """While all who write there stand still; what was live comes back when they are not well after it."""
        writers = writers_of(self.project, self.service, [part.target for part in self.parts])
        swapped: list[Part] = []
        try:
            with standing_still(self.server, self.project, self.instance, writers, progress=self.progress):
                for part in self.parts:
                    self._task("swap", _SWAP, part.target, posixpath.join(self._new, _last(part.target)), self._old)
                    swapped.append(part)
        except BaseException:
            if swapped:
                with standing_still(self.server, self.project, self.instance, writers, ended_too=True):
                    for part in swapped:
                        self._task("swap back", _SWAP, part.target, self._old, f"{OURS}bad-{self.mark}")
            raise

    def _fill_volume(self, name: str, part: Part) -> None:
        engine, context = self.server.engine, self._context
        mount = Mount(kind=MountKind.VOLUME, source=name, target=part.target)
        idle = replace(
            self.service, name=f"{self.service.name}-restore", entrypoint=IDLE, command=(), mounts=(mount,),
            networks=(), network_mode="none", ports=(), needs=(), replicas=1, labels=(), container_name=None,
            hostname=None, health=None, health_disabled=True, restart=Restart(policy="no"), user="0",
        )  # fmt: skip
        place = throw_away(self.server, self.instance, idle.name, self.service.name)
        try:
            engine.perform(StartReplica(service=idle, slot=1), context)
            with self.open(part) as archive:
                place.write_files(posixpath.dirname(part.target.rstrip("/")) or "/", archive)
            _compare(place, part, part.target)
        finally:
            engine.perform(StopReplica(service=idle.name, slot=1, grace=5.0), context)
            engine.perform(RemoveReplica(service=idle.name, slot=1), context)

    def _task(self, title: str, script: str, *words: str) -> None:
        task = replace(
            self.service, entrypoint=("sh", "-c", script, "havre", *words), command=(), health=None, user="0",
            replicas=1, container_name=None, ports=(),
        )  # fmt: skip
        self.server.engine.perform(RunTask(service=task, command=(), title=title, timeout=3600.0), self._context)

    @property
    def _new(self) -> str:
        return f"{OURS}new-{self.mark}"

    @property
    def _old(self) -> str:
        return f"{OURS}old-{self.mark}"

    @property
    def _context(self) -> Context:
        return Context(instance=self.instance, release=0, project=self.project)


@dataclass(frozen=True, slots=True)
class _Looked:
    """Hands everything to a reader and keeps nothing."""

    reader: TarReader

    def write(self, piece: bytes) -> int:
        self.reader.feed(piece)
        return len(piece)


def _compare(place: ReplicaPlace, part: Part, path: str) -> None:
    """Raises FailedError unless a directory holds as many files and bytes as the snapshot."""
    reader = TarReader()
    place.read_files(path, _Looked(reader))
    reader.finish()
    if (("files", reader.files), ("bytes", reader.size)) != part.counts:
        raise FailedError(_files_differ(part, reader))


def _owner(place: ReplicaPlace, path: str) -> tuple[int, int]:
    """(uid, gid): not every engine lets a task be more than its service."""
    user, _, group = answered(place, ("stat", "-c", "%u:%g", path)).strip().partition(":")
    return int(user), int(group)


def _empty_directory(name: str, owner: tuple[int, int]) -> BinaryIO:
    """A tar archive with nothing but a directory that only its owner may enter."""
    content, entry = io.BytesIO(), tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o700
    entry.uid, entry.gid = owner
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(entry)
    content.seek(0)
    return content


def _last(path: str) -> str:
    return posixpath.basename(path.rstrip("/"))


def _files_differ(part: Part, reader: TarReader) -> Problem:
    wanted = dict(part.counts)
    return Problem(
        summary=f"what was restored of {part.target} holds {reader.files} files of {reader.size} bytes",
        evidence=(f"the snapshot held {wanted['files']} files of {wanted['bytes']} bytes",),
        effect="it was not taken into use: what is live is as it was",
        hint="try another snapshot (`havre backup list`); `havre backup check --read 100%` finds damage",
        code="restore-differs",
    )


def name_taken(kind: str, name: str) -> Problem:
    """What a restore beside the live data would be called is called so already; `kind` is `database` or `volume`."""
    return Problem(
        summary=f"there is already a {kind} {name}",
        hint="give --to a name that is not in use",
        code="restore-to",
    )
