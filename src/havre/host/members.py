"""Who may use a file of this machine that a group shares, such as an engine's socket, by the machine's own books."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from havre.model.launch import Operators

ADMIN_GROUPS = ("sudo", "wheel", "admin")
"""Whose members may become root, by the custom of one distribution or another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How the user of this process stands to a file: `is_listed` in the book of groups, `is_member` since its login."""

    user: str
    owner: str
    group: str
    mode: int
    is_listed: bool
    is_member: bool


def access_to(path: Path) -> Access | None:
    """None where the file is not there, or its directory may not be looked into."""
    try:
        found = path.stat()
    except OSError:
        return None
    user, group = _user(os.geteuid()), _group(found.st_gid)
    return Access(
        user=user,
        owner=_user(found.st_uid),
        group=group,
        mode=stat.S_IMODE(found.st_mode),
        is_listed=user in members_of([group]),
        is_member=found.st_gid in {os.getegid(), *os.getgroups()},
    )


def operators_of(socket: Path | None) -> Operators:
    """Who may use the engine behind a socket, and who may become root; without a socket nothing of the first."""
    access = access_to(socket) if socket else None
    if socket is None or access is None:
        return Operators(admins=members_of(ADMIN_GROUPS))
    return Operators(
        socket=str(socket),
        group=access.group,
        users=tuple(user for user in members_of([access.group]) if user != access.owner),
        admins=members_of(ADMIN_GROUPS),
        is_open_to_all=bool(access.mode & stat.S_IWOTH),
    )


def members_of(groups: Iterable[str]) -> tuple[str, ...]:
    """The users that the book of groups lists in one of these, and those whose own group it is; each once."""
    found: dict[str, None] = {}
    for name in groups:
        try:
            entry = grp.getgrnam(name)
        except KeyError:  # this machine has no such group
            continue
        found |= dict.fromkeys(entry.gr_mem)
        found |= dict.fromkeys(one.pw_name for one in pwd.getpwall() if one.pw_gid == entry.gr_gid)
    return tuple(found)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
