"""The pipes of a command in a container on this machine, reached past the engine.

The engine takes what a command is fed over HTTP and passes it on twice, which costs 7 s of CPU for a gigabyte, and 5
for what it writes; a pipe costs less than one. Where the engine's containers are processes of this machine, and we may,
the pipe is opened as the kernel shows it: the engine starts the command and collects what it complains of, and never
sees the data (docs/decisions/0010).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from havre.engines.docker.client import DockerClient
from havre.host import clock
from havre.host.piping import widen

PROC = Path("/proc")
_STARTS = 2.0
"""Seconds in which the engine tells the process of a command that it is starting."""


def is_possible(client: DockerClient) -> bool:
    """Whether there is a chance: only root may open the pipes of other users' processes."""
    return client.is_local and os.geteuid() == 0


def input_of(client: DockerClient, container: str, run: str, *, doing: str) -> BinaryIO | None:
    """The writing end of the input of a command just started; None where it cannot be had.

    The engine holds that end too, and closes its own when it is told that no more comes.
    """
    return _opened(client, container, run, 0, doing=doing)


def output_of(client: DockerClient, container: str, run: str, number: int, *, doing: str) -> BinaryIO | None:
    """The reading end of a pipe that a command under way has open under that number; None where it cannot be had."""
    return _opened(client, container, run, number, doing=doing)


def _opened(client: DockerClient, container: str, run: str, number: int, *, doing: str) -> BinaryIO | None:
    if not is_possible(client) or (pid := _process(client, run, doing=doing)) is None:
        return None
    own, is_input = PROC / str(pid), number == 0
    try:
        if container not in (own / "cgroup").read_text():
            return None  # the engine's numbers are not those that we see: it runs in another place
        # Without O_NONBLOCK one end would wait for the other.
        pipe = os.open(own / f"fd/{number}", os.O_CLOEXEC | os.O_NONBLOCK | (os.O_WRONLY if is_input else os.O_RDONLY))
    except OSError:
        return None  # it has ended, or we may not
    if not stat.S_ISFIFO(os.fstat(pipe).st_mode) or (is_input and not _is_held_by_parent(own, pipe)):
        os.close(pipe)
        return None
    os.set_blocking(pipe, True)
    widen(pipe)
    return os.fdopen(pipe, "wb" if is_input else "rb", buffering=0)


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


def _is_held_by_parent(own: Path, pipe: int) -> bool:
    """Whether it is the pipe that the engine's own process feeds, not one that the command made for itself."""
    try:
        fields = (own / "stat").read_text().rpartition(")")[2].split()
        ends = list((PROC / fields[1] / "fd").iterdir())
        return any(end.stat().st_ino == os.fstat(pipe).st_ino for end in ends if end.is_fifo())
    except OSError:
        return False
