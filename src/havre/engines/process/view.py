"""A replica's own view of the file system: the machine's files, with its volumes, secrets and names in place.

Runs in the child between fork and exec. A new root is put together in a private mount namespace from binds of
the machine's directories; where a mount point is missing, its parent is replaced by a look-alike (an empty file
system that shows the same entries) in which the mount point can be made. Nothing of this is seen outside.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from havre.engines.process import kernel
from havre.engines.process.records import Place

_BASE = "/tmp"  # noqa: S108 - only a place that exists everywhere to hang the private root on
_OLD, _NEW, _HELD = "/old", "/new", "/held"


def enter_private_namespace(uid: int, gid: int) -> None:
    """Leave the machine's mount namespace; without root also its user namespace, keeping the same user."""
    if os.geteuid() == 0:
        kernel.unshare(kernel.CLONE_NEWNS)
    else:
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_SLAVE)


def build_root(places: Sequence[Place], reveal: Sequence[str], uid: int) -> None:
    """Make this process's root directory a view of the machine with `places` in place."""
    View(uid).build(places, reveal)


class View:
    """The root under construction at /new, with the machine's own root at /old."""

    def __init__(self, uid: int) -> None:
        self._uid = uid
        self._ours = {""}
        """Directories (below /new) that are not the machine's: entries may be made there."""
        self._held = 0

    def build(self, places: Sequence[Place], reveal: Sequence[str]) -> None:
        """Everything, in order: the machine, its unreachable parts, the replica's places; then move in."""
        self._prepare()
        self._mirror("", but=("tmp",))
        first = [place for place in places if place.target == _BASE] or [Place(kind="tmpfs", target=_BASE)]
        self._place(first[0])
        for path in reveal:
            self._reveal(path)
        for place in sorted(places, key=lambda place: place.target.count("/")):
            if place.target != _BASE:
                self._place(place)
        self._move_in()

    def _prepare(self) -> None:
        kernel.mount("tmpfs", _BASE, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
        for name in (_OLD, _NEW, _HELD):
            os.mkdir(_BASE + name, 0o755)
        kernel.pivot_root(_BASE, _BASE + _OLD)
        os.chdir("/")
        kernel.mount("tmpfs", _NEW, "tmpfs", kernel.MS_NODEV, "mode=755")

    def _move_in(self) -> None:
        kernel.unmount(_OLD)
        os.chdir(_NEW)
        kernel.pivot_root(".", ".")
        kernel.unmount(".")
        os.chdir("/")

    def _mirror(self, directory: str, *, source: str = "", but: Sequence[str] = ()) -> None:
        """Show in `directory` of the view every entry that the machine has there."""
        source = source or _OLD + directory
        for name in sorted(os.listdir(source)):
            if name not in but:
                _show(f"{source}/{name}", f"{_NEW}{directory}/{name}")

    def _reveal(self, path: str) -> None:
        """Make `path` reachable for the replica's user, hiding what is closed to it on the way."""
        current = ""
        for name in path.strip("/").split("/")[:-1]:
            current = f"{current}/{name}"
            if not os.path.isdir(_NEW + current):
                break
            if current not in self._ours and not self._may_pass(_NEW + current):
                kernel.mount("tmpfs", _NEW + current, "tmpfs", kernel.MS_NODEV, "mode=755")
                self._ours.add(current)
        if not _same(_OLD + path, _NEW + path):
            self._bind(Place(kind="bind", target=path, source=path))

    def _may_pass(self, directory: str) -> bool:
        facts = os.stat(directory)
        mode = facts.st_mode
        return bool(mode & stat.S_IXOTH or (facts.st_uid == self._uid and mode & stat.S_IXUSR))

    def _place(self, place: Place) -> None:
        match place.kind:
            case "tmpfs":
                target = self._mount_point(place.target, is_directory=True)
                size = f",size={place.size}" if place.size else ""
                kernel.mount("tmpfs", target, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, f"mode={place.mode:o}{size}")
                self._own(target)
            case "layer":
                self._layer(place)
            case _:
                self._bind(place)

    def _bind(self, place: Place) -> None:
        source = _OLD + place.source
        target = self._mount_point(place.target, is_directory=os.path.isdir(source))
        kernel.mount(source, target, flags=kernel.MS_BIND | kernel.MS_REC)
        if place.read_only:
            _make_read_only(target)
        else:
            self._own(target)

    def _layer(self, place: Place) -> None:
        """The source under a private writable layer; read-only where the kernel has no such layers for users."""
        target = self._mount_point(place.target, is_directory=True)
        lower, _, private = place.source.partition(":")
        layers = f"lowerdir={_OLD}{lower},upperdir={_OLD}{private}/upper,workdir={_OLD}{private}/work"
        try:
            kernel.mount("overlay", target, "overlay", 0, layers + ("" if os.geteuid() == 0 else ",userxattr"))
        except OSError:
            kernel.mount(_OLD + lower, target, flags=kernel.MS_BIND)
            _make_read_only(target)
        else:
            self._own(target)

    def _own(self, target: str) -> None:
        self._ours.add(target.removeprefix(_NEW))

    def _mount_point(self, path: str, *, is_directory: bool) -> str:
        """The place of `path` in the view, made when missing, symbolic links followed."""
        current, rest = "", [name for name in path.split("/") if name]
        while rest:
            name = rest.pop(0)
            entry = f"{current}/{name}"
            if os.path.islink(_NEW + entry):
                target = os.readlink(_NEW + entry)
                current, rest = _follow(current, target, rest)
            elif os.path.lexists(_NEW + entry):
                current = entry
            else:
                self._make(current, name, is_directory=bool(rest) or is_directory)
                current = entry
        return _NEW + current

    def _make(self, parent: str, name: str, *, is_directory: bool) -> None:
        if not self._is_ours(parent):
            self._imitate(parent)
        entry = f"{_NEW}{parent}/{name}"
        if is_directory:
            os.mkdir(entry, 0o755)
        else:
            os.close(os.open(entry, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        if os.geteuid() == 0 and self._uid > 0:
            os.chown(entry, self._uid, -1)

    def _is_ours(self, directory: str) -> bool:
        while directory not in self._ours:
            if os.path.ismount(_NEW + directory):
                return False
            directory = directory.rpartition("/")[0]
        return True

    def _imitate(self, directory: str) -> None:
        """Replace a directory of the machine by a look-alike in which entries can be made."""
        self._held += 1
        held = f"{_HELD}/{self._held}"
        os.mkdir(held)
        kernel.mount(_NEW + directory, held, flags=kernel.MS_BIND | kernel.MS_REC)
        mode = os.stat(held).st_mode & 0o777
        kernel.mount("tmpfs", _NEW + directory, "tmpfs", kernel.MS_NODEV, f"mode={mode | 0o555:o}")
        self._ours.add(directory)
        try:
            self._mirror(directory, source=held)
        except PermissionError:
            return  # closed to this user: nothing of it could have been reached


def _follow(current: str, target: str, rest: list[str]) -> tuple[str, list[str]]:
    names = [name for name in target.split("/") if name and name != "."]
    start = "" if target.startswith("/") else current
    while names and names[0] == "..":
        names.pop(0)
        start = start.rpartition("/")[0]
    return start, names + rest


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _show(source: str, target: str) -> None:
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return
    if os.path.isdir(source):
        os.mkdir(target, 0o755)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    kernel.mount(source, target, flags=kernel.MS_BIND | kernel.MS_REC)


def _make_read_only(target: str) -> None:
    flags = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY
    # Flags that the machine locked must be repeated, else an unprivileged remount is refused.
    facts = os.statvfs(target)
    flags |= facts.f_flag & (kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC | 0x400 | 0x800 | 0x200000)
    kernel.mount("none", target, flags=flags)


def _write(path: str, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)
