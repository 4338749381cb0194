"""Bytes in and out of containers while they come: a command's own streams, and files as a tar stream.

Nothing is collected here: what a database dumps goes frame by frame from the engine's socket to the caller's file.
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, BinaryIO

from havre.engines.docker import direct_input
from havre.engines.docker.client import DockerClient
from havre.errors import FailedError, Problem
from havre.host import clock
from havre.model.backup import Streamed

if TYPE_CHECKING:
    from typing_extensions import Buffer

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

    `timeout` is how many seconds may pass without a byte in or out. What `stdout.write` raises is raised here, and the
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
        feeder = None
        if stdin is not None:
            feeder = _Feeder(raw, direct_input.opened(client, container, run, doing=doing), stdin)
            feeder.start()
        try:
            complaints = _copy_frames(_Said(raw, feeder, timeout), stdout)
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


class _Feeder(threading.Thread):
    """Sends a command all its input, then says that there is no more; what is not read to its end is fine."""

    def __init__(self, raw: socket.socket, pipe: BinaryIO | None, stdin: BinaryIO) -> None:
        super().__init__(daemon=True)
        self._raw, self._pipe, self._stdin = raw, pipe, stdin
        self.moved = clock.elapsed()
        """When it last got rid of something."""

    def run(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # ValueError: the caller closed the source, done with it early
            if self._pipe is None:
                self._send(_CHUNK, self._raw.sendall)
                self._raw.shutdown(socket.SHUT_WR)
                return
            with self._pipe as pipe:
                self._raw.shutdown(socket.SHUT_WR)  # by that way comes nothing
                self._send(direct_input.CHUNK, lambda chunk: _write_all(pipe, chunk))

    def _send(self, size: int, write: Callable[[bytes], None]) -> None:
        while chunk := self._stdin.read(size):
            write(chunk)
            self.moved = clock.elapsed()


def _write_all(pipe: BinaryIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[pipe.write(view) :]


class _Said(io.RawIOBase):
    """What comes from a command; a TimeoutError when it neither says nor takes anything for `timeout` seconds."""

    def __init__(self, raw: socket.socket, feeder: _Feeder | None, timeout: float | None) -> None:
        self._raw, self._feeder, self._timeout = raw, feeder, timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        while True:
            try:
                return self._raw.recv_into(buffer)
            except TimeoutError:
                if self._feeder is None or clock.elapsed() - self._feeder.moved >= (self._timeout or 0.0):
                    raise


def _copy_frames(said: io.RawIOBase, stdout: BinaryIO) -> str:
    """Hand each frame's payload on; returns the end of what came on stderr."""
    complaints: deque[bytes] = deque(maxlen=64)
    with io.BufferedReader(said, _CHUNK) as source:
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
