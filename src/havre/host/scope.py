"""Let what outlives a command be no part of the login in which the command was given.

systemd counts a program to the session that started it, and ends it with the session: when the user logs out, on some
systems, and at every shutdown by SIGTERM and SIGHUP at once, which HAProxy takes for a reload, so that the server waits
a minute and a half before it kills it. In a scope of its own a program is asked to stop like any service.
"""

from __future__ import annotations

import os
from pathlib import Path

from havre.host.commands import find_program

SYSTEMD_RUNS = Path("/run/systemd/system")
"""Exists exactly while systemd is the machine's init (sd_booted(3))."""


def own_scope(*, delegated: bool = False) -> tuple[str, ...]:
    """The words before a command line that give it a scope; none where no systemd answers this user.

    A delegated one may be divided: as long as it is there, systemd keeps all controllers on for what lies beside it.
    """
    program, is_root = find_program("systemd-run"), os.geteuid() == 0
    manager = SYSTEMD_RUNS.parent / "private" if is_root else runtime_directory() / "systemd/private"
    if program is None or not manager.is_socket():
        return ()
    options = (*(() if is_root else ("--user",)), *(("--property=Delegate=yes",) if delegated else ()))
    return (program, *options, "--scope", "--quiet", "--collect", "--")


def runtime_directory() -> Path:
    """The user's, whether or not this login was told of it: where systemd's manager of his is met."""
    return Path(f"/run/user/{os.getuid()}")
