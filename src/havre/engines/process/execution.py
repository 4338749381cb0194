"""Run a command in the world of a replica: its files, names, environment and user."""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import socket
import struct
import termios
import threading
from collections.abc import Sequence

from havre.engines.base import Executed
from havre.engines.process.client import Refusal
from havre.engines.process.places import numeric_user
from havre.engines.process.replicas import Found, Replicas
from havre.errors import FailedError, Problem, RefusedError
from havre.host.terminal import lend_terminal, terminal_size

_BLOCK = 65536
MISSING = 127
"""The exit code of a command whose program is not there, as a shell has it."""


def run_in(
    replicas: Replicas, found: Found, command: Sequence[str], *, stdin: bytes | None = None,
    environment: Sequence[tuple[str, str]] = (), user: str | None = None, timeout: float | None = None,
) -> Executed:  # fmt: skip
    """Run `command` and wait; stdout and stderr come together, in the order in which they were written."""
    fields = command_fields(found, command, environment, user)
    output = _Collector()
    with _fed(stdin) as reading:
        try:
            code = replicas.execute(found, fields, (reading, output.writing, output.writing), timeout)
        except TimeoutError as error:
            raise FailedError(_took_too_long(found, command, timeout or 0.0)) from error
        except Refusal as refusal:
            if refusal.kind == "launch":
                return Executed(exit_code=MISSING, output=str(refusal))
            raise FailedError(refused(found, str(refusal))) from refusal
        finally:
            text = output.close()
    return Executed(exit_code=code, output=text.decode(errors="replace"))


def run_attached(replicas: Replicas, found: Found, command: Sequence[str], *, user: str | None = None) -> int:
    """Run `command` on the caller's terminal; its exit code."""
    master, slave = os.openpty()
    here, there = socket.socketpair()
    _resize(master)
    relay = threading.Thread(target=_relay, args=(master, there), daemon=True)
    relay.start()
    result: list[int] = []
    worker = threading.Thread(
        target=_attached, args=(replicas, found, command_fields(found, command, (), user), slave, result), daemon=True
    )
    worker.start()
    lend_terminal(here, lambda: _resize(master))
    worker.join()
    os.close(master)
    here.close()
    return result[0] if result else MISSING


def _attached(replicas: Replicas, found: Found, fields: dict[str, object], slave: int, result: list[int]) -> None:
    try:
        handles = (slave, slave, slave)
        result.append(replicas.execute(found, {**fields, "terminal": True}, handles, None))
    except Refusal as refusal:
        os.write(slave, f"havre: {refusal}\n".encode())
    finally:
        os.close(slave)


def _relay(master: int, there: socket.socket) -> None:
    """Between the pseudo-terminal and the socket, until the last program on it is gone."""
    with there, selectors.DefaultSelector() as selector:
        selector.register(master, selectors.EVENT_READ)
        selector.register(there, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is there:
                    data = there.recv(_BLOCK)
                    os.write(master, data or b"\x04")
                    if not data:
                        selector.unregister(there)
                    continue
                try:
                    shown = os.read(master, _BLOCK)
                except OSError:
                    return
                with contextlib.suppress(OSError):
                    there.sendall(shown)


def _resize(master: int) -> None:
    columns, rows = terminal_size()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class _Collector:
    """Reads a pipe in a thread, so that a talkative command never waits for us."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe2(os.O_CLOEXEC)
        self._data = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> bytes:
        """Everything that was written; a program left in the background is not waited for."""
        os.close(self.writing)
        self._thread.join(0.5)
        return bytes(self._data)

    def _read(self) -> None:
        while block := os.read(self._reading, _BLOCK):
            self._data += block
        os.close(self._reading)


@contextlib.contextmanager
def _fed(stdin: bytes | None):  # type: ignore[no-untyped-def]
    """The reading end of a pipe with that content, or the empty device."""
    if stdin is None:
        handle = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    else:
        handle, writing = os.pipe2(os.O_CLOEXEC)
        threading.Thread(target=_feed, args=(writing, stdin), daemon=True).start()
    try:
        yield handle
    finally:
        os.close(handle)


def _feed(writing: int, stdin: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb") as file:
        file.write(stdin)


def command_fields(
    found: Found, command: Sequence[str], environment: Sequence[tuple[str, str]], user: str | None
) -> dict[str, object]:
    """What the supervisor must know to run a command as the replica itself would."""
    launch = found.launch
    merged = {**dict(launch.environment), **dict(launch.inside), **dict(environment)}
    ids = None
    if user is not None:
        ids = numeric_user(user)
        own = (launch.uid, launch.gid) if launch.uid >= 0 else (os.getuid(), os.getgid())
        if ids is None:
            raise RefusedError(_unknown_user(found, user))
        if os.geteuid() != 0 and ids[0] != own[0]:
            raise RefusedError(_other_user(found, user))
    return {"argv": list(command), "environment": sorted(merged.items()), "user": ids}


def _took_too_long(found: Found, command: Sequence[str], timeout: float) -> Problem:
    return Problem(
        summary=f"`{command[0]}` did not finish within {timeout:g} s in {found.launch.service}.{found.launch.slot}",
        effect="it was killed",
        hint="give it more time, or look inside with `havre exec`",
        code="command-timeout",
    )


def refused(found: Found, reason: str) -> Problem:
    """The supervisor would not run a command there."""
    return Problem(
        summary=f"{found.launch.service}.{found.launch.slot} does not run",
        evidence=(reason,),
        hint="see `havre ps`",
        code="replica-not-running",
    )


def _unknown_user(found: Found, user: str) -> Problem:
    return Problem(
        summary=f"there is no user {user} on this server",
        subject=found.launch.service,
        hint="name one that exists here, or leave `--user` out",
        code="process-user",
    )


def _other_user(found: Found, user: str) -> Problem:
    return Problem(
        summary=f"only root may run a command as {user}",
        subject=found.launch.service,
        hint="leave `--user` out: without root everything runs as you",
        code="process-user",
    )
