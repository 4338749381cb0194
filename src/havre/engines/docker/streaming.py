"""Bytes in and out of containers while they come: a command's own streams, and files as a tar stream.

Nothing is collected here: what a database dumps goes frame by frame from the engine's socket to the caller's file.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Sequence
from typing import BinaryIO

from havre.engines.docker.client import DockerClient
from havre.errors import FailedError, Problem
from havre.model.backup import Streamed

_CHUNK = 256 * 1024
_HEADER = 8
_STDERR = 2
_KEPT_COMPLAINTS = 8192


def stream_in(
    client: DockerClient, container: str, command: Sequence[str], *, doing: str, stdin: BinaryIO | None,
    stdout: BinaryIO, environment: Sequence[tuple[str, str]] = (), user: str | None = None,
    timeout: float | None = None,
) -> Streamed:  # fmt: skip
    """Run `command` in a running container, its stdin read from and its stdout written to the caller's files.

    `timeout` is how many seconds may pass without a byte. What `stdout.write` raises is raised here, and the
    command in the container then gets a closed pipe.
    """
    body = {
        "AttachStdin": stdin is not None,
        "AttachStdout": True,
        "AttachStderr": True,
        "Cmd": list(command),
        "Env": [f"{name}={value}" for name, value in environment],
        "User": user or "",
    }
    run: str = client.post(f"/containers/{container}/exec", body, doing=doing).json()["Id"]
    with client.hijack(f"/exec/{run}/start", {"Detach": False, "Tty": False}, doing=doing) as raw:
        raw.settimeout(timeout)
        feeder = threading.Thread(target=_feed, args=(raw, stdin), daemon=True)
        feeder.start()
        try:
            complaints = _copy_frames(raw, stdout)
        except TimeoutError as error:
            raise FailedError(_silent(command, timeout or 0.0, doing)) from error
    code = client.get(f"/exec/{run}/json", doing=doing).get("ExitCode")
    return Streamed(exit_code=-1 if code is None else int(code), complaints=complaints)


def read_files(client: DockerClient, container: str, path: str, sink: BinaryIO, *, doing: str) -> None:
    """What lies at `path` in a container, running or not, as a tar stream."""
    with client.stream("GET", f"/containers/{container}/archive", {"path": path}, doing=doing) as stream:
        for chunk in stream.chunks():  # noqa: FURB122 - all that is asked of a sink is `write`
            sink.write(chunk)


def write_files(client: DockerClient, container: str, path: str, source: BinaryIO, *, doing: str) -> None:
    """Unpack a tar stream below `path` in a container, running or not."""
    query = {"path": path, "noOverwriteDirNonDir": True}
    headers = {"Content-Type": "application/x-tar"}
    with client.stream(
        "PUT", f"/containers/{container}/archive", query, doing=doing, body=source, headers=headers
    ) as stream:
        for _ in stream.chunks():
            pass


def _feed(raw: socket.socket, stdin: BinaryIO | None) -> None:
    """Send all input, then say that there is no more; a command that does not read it to the end is fine."""
    if stdin is None:
        return
    with contextlib.suppress(OSError, ValueError):  # ValueError: the caller closed the source, done with it early
        while chunk := stdin.read(_CHUNK):
            raw.sendall(chunk)
        raw.shutdown(socket.SHUT_WR)


def _copy_frames(raw: socket.socket, stdout: BinaryIO) -> str:
    """Hand each frame's payload on; returns the end of what came on stderr."""
    complaints: deque[bytes] = deque(maxlen=64)
    with raw.makefile("rb", buffering=_CHUNK) as source:
        while len(header := source.read(_HEADER)) == _HEADER:
            payload = source.read(int.from_bytes(header[4:], "big"))
            if header[0] == _STDERR:
                complaints.append(payload)
            else:
                stdout.write(payload)
    return b"".join(complaints)[-_KEPT_COMPLAINTS:].decode(errors="replace")


def _silent(command: Sequence[str], timeout: float, doing: str) -> Problem:
    return Problem(
        summary=f"could not {doing}: `{command[0]}` said nothing for {timeout:g} s",
        effect="it may still run inside the container",
        hint="look at the load of the server (`havre ps`), then try again",
        code="stream-silent",
    )
