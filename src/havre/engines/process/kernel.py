"""The few system calls that Python 3.11 does not offer: namespaces, mounts and process attributes."""

from __future__ import annotations

import ctypes
import os
import platform

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 0x1, 0x2, 0x4, 0x8, 0x20, 0x1000
MS_REC, MS_SLAVE, MS_PRIVATE = 0x4000, 0x80000, 0x40000
MNT_DETACH = 2
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "armv7l": 218, "riscv64": 41, "ppc64le": 203, "s390x": 217}

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Leave the named namespaces for new ones."""
    _checked(_libc.unshare(flags), "unshare")


def enter_namespace(handle: int) -> None:
    """Enter the namespace of an open /proc/PID/ns file."""
    _checked(_libc.setns(handle, 0), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount; raises OSError with the target in it."""
    done = _libc.mount(
        source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), options.encode() or None
    )
    _checked(done, target)


def unmount(target: str) -> None:
    """Let go of a mount, even while it is in use."""
    _checked(_libc.umount2(target.encode(), MNT_DETACH), target)


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root directory of this mount namespace, and put the old one at `old`."""
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(38, "pivot_root is not known for this kind of machine")
    _checked(_libc.syscall(ctypes.c_long(number), new.encode(), old.encode()), "pivot_root")


def adopt_orphans() -> None:
    """Processes below this one that lose their parent become its children, not init's."""
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def forbid_new_privileges() -> None:
    """No program started from here on gains rights by set-user-id bits."""
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
