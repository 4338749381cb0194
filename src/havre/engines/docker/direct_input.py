"""The input of a command in a container on this machine, reached past the engine.

The engine takes what a command is fed over HTTP and passes it on twice, which costs 7 s of CPU for a gigabyte where
the pipe itself costs less than one. Where the engine's containers are processes of this machine, and we may, that pipe
is opened as the kernel shows it: the engine starts the command and collects what it says, and never sees its input.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path
from typing import BinaryIO

from havre.engines.docker.client import DockerClient
from havre.host import clock

PROC = Path("/proc")
CHUNK = 1 << 20
"""Bytes of one read, and of the pipe: the most that Linux grants without asking (`fs.pipe-max-size`)."""
_STARTS = 2.0
"""Seconds in which the engine tells the process of a command that it is starting."""


def is_possible(client: DockerClient) -> bool:
    """Whether there is a chance: only root may open the pipes of other users' processes."""
    return client.is_local and os.geteuid() == 0


def opened(client: DockerClient, container: str, run: str, *, doing: str) -> BinaryIO | None:
    """The writing end of the pipe that is the input of a command just started; None where it cannot be had.

    The engine holds that pipe too, and ends its own use when it is told that no more comes.
    """
    if not is_possible(client) or (pid := _process(client, run, doing=doing)) is None:
        return None
    own = PROC / str(pid)
    try:
        if container not in (own / "cgroup").read_text():
            return None  # the engine's numbers are not those that we see: it runs in another place
        pipe = os.open(own / "fd/0", os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None  # it has ended, or we may not
    if not _is_fed_by_parent(own, pipe):
        os.close(pipe)
        return None
    os.set_blocking(pipe, True)
    with contextlib.suppress(OSError):  # a smaller pipe does, too
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, CHUNK)
    return os.fdopen(pipe, "wb", buffering=0)


def _process(client: DockerClient, run: str, *, doing: str) -> int | None:
    deadline = clock.elapsed() + _STARTS
    while clock.elapsed() < deadline:
        found = client.get(f"/exec/{run}/json", doing=doing)
        if found.get("Pid"):
            return int(found["Pid"])
        if found.get("ExitCode") is not None:
            return None
        clock.sleep(0.01)
    return None


def _is_fed_by_parent(own: Path, pipe: int) -> bool:
    """Whether it is the pipe that the engine's own process feeds, not one that the command made for itself."""
    if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
        return False
    try:
        fields = (own / "stat").read_text().rpartition(")")[2].split()
        ends = list((PROC / fields[1] / "fd").iterdir())
        return any(end.stat().st_ino == os.fstat(pipe).st_ino for end in ends if end.is_fifo())
    except OSError:
        return False
