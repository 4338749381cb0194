"""Commands inside a running container: run and wait, feed them, or lend them the caller's terminal."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from havre.engines.base import Executed
from havre.engines.docker import frames
from havre.engines.docker.client import DockerClient
from havre.errors import FailedError, Problem
from havre.host.terminal import is_terminal, lend_terminal, pass_input_on, terminal_size, write_output

_CHUNK = 65536


def run_in(
    client: DockerClient, container: str, command: Sequence[str], *, doing: str, stdin: bytes | None = None,
    environment: Sequence[tuple[str, str]] = (), user: str | None = None, timeout: float | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Executed:  # fmt: skip
    """Run `command` and wait; stdout and stderr come together, in the order in which they were written."""
    body = {
        "AttachStdin": stdin is not None,
        "AttachStdout": True,
        "AttachStderr": True,
        "Cmd": list(command),
        "Env": [f"{name}={value}" for name, value in environment],
        "User": user or "",
        **(extra or {}),
    }
    run: str = client.post(f"/containers/{container}/exec", body, doing=doing).json()["Id"]
    output = bytearray()
    with client.hijack(f"/exec/{run}/start", {"Detach": False, "Tty": False}, doing=doing) as raw:
        raw.settimeout(timeout)
        feeder = threading.Thread(target=_feed, args=(raw, stdin), daemon=True)
        feeder.start()
        try:
            for _, piece in frames.demultiplex(_received(raw)):
                output += piece
        except TimeoutError as error:
            raise FailedError(_took_too_long(command, timeout or 0.0, doing)) from error
    return Executed(exit_code=_exit_code(client, run, doing=doing), output=output.decode(errors="replace"))


def run_attached(
    client: DockerClient, container: str, command: Sequence[str], *, doing: str, user: str | None = None
) -> int:
    """Run `command` on the caller's terminal (raw, resized with it), or on its pipes; its exit code."""
    with_terminal = is_terminal()
    body = {
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": with_terminal,
        "Cmd": list(command),
        "User": user or "",
    }
    run: str = client.post(f"/containers/{container}/exec", body, doing=doing).json()["Id"]
    with client.hijack(f"/exec/{run}/start", {"Detach": False, "Tty": with_terminal}, doing=doing) as raw:
        raw.settimeout(None)
        if with_terminal:
            _resize(client, run)
            lend_terminal(raw, lambda: _resize(client, run))
        else:
            pass_input_on(raw)
            for stream, piece in frames.demultiplex(_received(raw)):
                write_output(stream, piece)
    return _exit_code(client, run, doing=doing)


def _resize(client: DockerClient, run: str) -> None:
    columns, rows = terminal_size()
    with contextlib.suppress(FailedError):  # the command may have ended just now
        client.post(f"/exec/{run}/resize", None, {"w": columns, "h": rows}, doing="resize the terminal")


def _feed(raw: socket.socket, stdin: bytes | None) -> None:
    """Send all input, then say that there is no more; a command that does not read it to the end is fine."""
    if stdin is None:
        return
    with contextlib.suppress(OSError):
        raw.sendall(stdin)
        raw.shutdown(socket.SHUT_WR)


def _received(raw: socket.socket) -> Iterator[bytes]:
    while chunk := raw.recv(_CHUNK):
        yield chunk


def _exit_code(client: DockerClient, run: str, *, doing: str) -> int:
    found = client.get(f"/exec/{run}/json", doing=doing)
    code = found.get("ExitCode")
    return -1 if code is None else int(code)


def _took_too_long(command: Sequence[str], timeout: float, doing: str) -> Problem:
    return Problem(
        summary=f"could not {doing}: `{command[0]}` did not finish within {timeout:g} s",
        effect="it may still run inside the container",
        hint="give it more time, or look inside with `havre exec`",
        code="command-timeout",
    )
