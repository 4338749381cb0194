"""Bytes in and out of containers while they come: a command's own streams, and files as a tar stream.

Nothing is collected here: what a database dumps goes frame by frame from the engine's socket to the caller's file.
"""

from __future__ import annotations

import contextlib
import io
import secrets
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from havre.engines.docker import pipes
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A command for a running container; `timeout` is how many seconds may pass without a byte in or out."""

    client: DockerClient = field(kw_only=False)
    container: str = field(kw_only=False)
    command: Sequence[str] = field(kw_only=False)
    doing: str
    environment: Sequence[tuple[str, str]] = ()
    user: str | None = None
    timeout: float | None = None

    @contextlib.contextmanager
    def started(self, *, with_input: bool, before: Sequence[str] = ()) -> Iterator[tuple[str, socket.socket]]:
        """The engine's id of the command under way, and the connection that carries its streams."""
        body = {
            "AttachStdin": with_input,
            "AttachStdout": True,
            "AttachStderr": True,
            "Cmd": [*before, *self.command],
            "Env": [f"{name}={value}" for name, value in self.environment],
            "User": self.user or "",
        }
        run: str = self.client.post(f"/containers/{self.container}/exec", body, doing=self.doing).json()["Id"]
        start = {"Detach": False, "Tty": False}
        with self.client.hijack(f"/exec/{run}/start", start, doing=self.doing) as raw:
            raw.settimeout(self.timeout)
            try:
                yield run, raw
            except TimeoutError as error:
                raise FailedError(_silent(self.command, self.timeout or 0.0, self.doing)) from error

    def ended(self, run: str, complaints: str) -> Streamed:
        """How it ended."""
        code = self.client.get(f"/exec/{run}/json", doing=self.doing).get("ExitCode")
        return Streamed(exit_code=-1 if code is None else int(code), complaints=complaints)


def stream_in(call: Call, *, stdin: BinaryIO | None, stdout: BinaryIO, bulk: bool = False) -> Streamed:
    """Run a command, its stdin read from and its stdout written to the caller's files.

    With `bulk` much is expected on stdout, and goes past the engine where that can be. What `stdout.write` raises is
    raised here; a command that writes past the engine then gets a closed pipe.
    """
    if bulk and stdin is None and pipes.is_possible(call.client):
        done = _stream_past(call, stdout)
        if done is not None:
            return done
    with call.started(with_input=stdin is not None) as (run, raw):
        feeder = None
        if stdin is not None:
            feeder = _Feeder(raw, pipes.input_of(call.client, call.container, run, doing=call.doing), stdin)
            feeder.start()
        frames = _Frames(_Said(raw, feeder, call.timeout))
        frames.pour(stdout)
    if feeder is not None and feeder.error is not None:
        raise feeder.error
    return call.ended(run, frames.complaints)


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
        self.error: Exception | None = None
        """Why the source could not be read to its end: what the command was given is not all of it."""

    def run(self) -> None:
        try:
            self._feed()
        except (OSError, ValueError):  # ValueError: the caller closed the source, done with it early
            pass
        except Exception as error:  # noqa: BLE001 - raised where the command is waited for
            self.error = error
        finally:
            with contextlib.suppress(OSError):  # or the command would wait for more
                self._raw.shutdown(socket.SHUT_WR)

    def _feed(self) -> None:
        if self._pipe is None:
            self._send(_CHUNK, self._raw.sendall)
            return
        with self._pipe as pipe:
            self._raw.shutdown(socket.SHUT_WR)  # by that way comes nothing
            self._send(_CHUNK, lambda chunk: _write_all(pipe, chunk))

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


class _Frames:
    """What the engine tells of a command: its output piece by piece, and the end of its complaints."""

    def __init__(self, said: io.RawIOBase) -> None:
        self._source = io.BufferedReader(said, _CHUNK)
        self._complaints: deque[bytes] = deque(maxlen=64)

    def __iter__(self) -> Iterator[bytes]:
        while len(header := self._source.read(_HEADER)) == _HEADER:
            payload = self._source.read(int.from_bytes(header[4:], "big"))
            if header[0] == _STDERR:
                self._complaints.append(payload)
            else:
                yield payload

    def line(self) -> tuple[bytes, bytes]:
        """The first line of the output, and what came with it of the next; nothing when it ends before."""
        come = b""
        for piece in self:
            come += piece
            line, end, rest = come.partition(b"\n")
            if end:
                return line, rest
        return b"", b""

    def pour(self, stdout: BinaryIO) -> None:
        """Hand the rest of the output on, to its end."""
        for piece in self:  # noqa: FURB122 - all that is asked of a sink is `write`
            stdout.write(piece)

    @property
    def complaints(self) -> str:
        """The end of what came on stderr."""
        return b"".join(self._complaints)[-_KEPT_COMPLAINTS:].decode(errors="replace")


_SEND = """
f=/dev/shm/$1; shift
if mkfifo -m 600 "$f" 2>/dev/null; then
    exec 3<>"$f"; echo ready; read -r way || { rm "$f"; exit 1; }
    if [ "$way" = pipe ]; then exec 4>"$f"; else exec 4>&1; fi
    rm "$f"; exec 3<&-
else
    echo engine; exec 4>&1
fi
exec "$@" >&4 4>&- </dev/null
"""
"""Runs a command that writes into a pipe of its own once Havre has that open under the number 3, else to the engine."""
_PIPE = 3


def _stream_past(call: Call, stdout: BinaryIO) -> Streamed | None:
    """Run a command that writes past the engine where that can be; None when there is no shell to begin with."""
    before = ("sh", "-c", _SEND, "havre", f"havre-{secrets.token_hex(8)}")
    with call.started(with_input=True, before=before) as (run, raw):
        frames = _Frames(_Said(raw, None, call.timeout))
        way, rest = frames.line()
        if way not in (b"ready", b"engine"):
            return None
        ready = pipes.output_of(call.client, call.container, run, _PIPE, doing=call.doing) if way == b"ready" else None
        with ready or contextlib.nullcontext() as pipe:
            with contextlib.suppress(OSError):  # it has ended, and says why
                raw.sendall(b"engine\n" if pipe is None else b"pipe\n")
                raw.shutdown(socket.SHUT_WR)
            if pipe is not None:
                _copy_pipe(raw, pipe, frames, stdout, call.timeout)
            else:
                stdout.write(rest)
                frames.pour(stdout)
    return call.ended(run, frames.complaints)


def _copy_pipe(raw: socket.socket, pipe: BinaryIO, frames: _Frames, stdout: BinaryIO, timeout: float | None) -> None:
    """The output comes by the pipe; the engine is listened to aside, for the complaints and the end."""
    raw.settimeout(None)  # a command that works may have no complaint for hours
    aside = threading.Thread(target=_listen, args=(frames,), daemon=True)
    aside.start()
    try:
        while _in_time(select.select([pipe], [], [], timeout)[0]) and (piece := pipe.read(_CHUNK)):
            stdout.write(piece)
        aside.join(timeout)
        _in_time(not aside.is_alive())
    except BaseException:
        with contextlib.suppress(OSError):
            raw.shutdown(socket.SHUT_RDWR)  # wakes who listens
        raise


def _listen(frames: _Frames) -> None:
    """To the end; where the connection breaks, whoever asks how the command ended is told."""
    with contextlib.suppress(OSError):
        for _ in frames:
            pass


def _in_time(came: object) -> bool:
    if not came:
        raise TimeoutError
    return True


def _silent(command: Sequence[str], timeout: float, doing: str) -> Problem:
    return Problem(
        summary=f"could not {doing}: `{command[0]}` said nothing for {timeout:g} s",
        effect="it may still run inside the container",
        hint="look at the load of the server (`havre ps`), then try again",
        code="stream-silent",
    )
