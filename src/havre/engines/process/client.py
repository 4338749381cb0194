"""Talk to the supervisor of a state directory; start it when it does not run."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from havre.errors import Problem, UnavailableError
from havre.host import clock
from havre.host.locks import is_held
from havre.host.scope import own_scope, runtime_directory

PROTOCOL = 4
"""What this side speaks; equal to the supervisor's own PROTOCOL (a test compares them)."""

_START_TIME = 10.0
_ROOM = Path("supervisor.sock")
_SAFE_TO_REPEAT = frozenset({"hello", "start", "stop", "wait", "remove"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the supervisor found it may do on this server."""

    pid: int
    isolated: bool
    why_not: str
    limits: Mapping[str, str]
    """The kinds of limits it can enforce, and where the control groups for each lie."""


class Refusal(Exception):  # noqa: N818 - an answer, turned into a HavreError by who asked
    """The supervisor could not do what was asked; `kind` is `launch` when the program could not be started."""

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(text)
        self.kind = kind


class _Vanished(Exception):  # noqa: N818 - leads to another attempt, or to an UnavailableError
    """The supervisor was not there, or went away before its answer."""

    def __init__(self, *, was_asked: bool) -> None:
        super().__init__("vanished")
        self.was_asked = was_asked


class Client:
    """`state` is the engine's state directory; every method may be called from several threads."""

    def __init__(self, state: Path, *, private_views: bool = True) -> None:
        self._state = state
        self._options = ("--detach",) if private_views else ("--detach", "--plain")
        self._facts: Facts | None = None

    def is_running(self) -> bool:
        """True while a supervisor holds this state directory."""
        return is_held(self._state / "supervisor.lock")

    def facts(self) -> Facts:
        """What the supervisor may do here; starts it when needed."""
        if self._facts is None or not self.is_running():
            self._facts = self._hello()
        return self._facts

    def ask(
        self, do: str, *, timeout: float | None = 30.0, handles: Sequence[int] = (), **fields: Any
    ) -> dict[str, Any]:
        """One request and its answer. Raises Refusal, UnavailableError, and TimeoutError after `timeout` seconds."""
        request = {"do": do, **fields}
        for again in (True, False):
            self.facts()
            try:
                return self._exchange(request, timeout=timeout, handles=handles)
            except _Vanished as vanished:
                self._facts = None
                harmless = not vanished.was_asked or (do in _SAFE_TO_REPEAT and not fields.get("attached"))
                if not (again and harmless):
                    raise UnavailableError(_died(self._state)) from vanished
        raise UnavailableError(_died(self._state))

    def _hello(self) -> Facts:
        deadline = clock.elapsed() + _START_TIME
        while True:
            self._ensure_running()
            try:
                answer = self._exchange({"do": "hello"}, timeout=_START_TIME)
                if answer["protocol"] == PROTOCOL:
                    return _facts(answer)
                self._exchange({"do": "leave"}, timeout=_START_TIME)
            except _Vanished as vanished:
                if clock.elapsed() > deadline:
                    raise UnavailableError(_no_supervisor(self._state)) from vanished
            clock.sleep(0.05)

    def _ensure_running(self) -> None:
        deadline = clock.elapsed() + _START_TIME
        again_at = 0.0
        while not self._answers():
            now = clock.elapsed()
            if now > deadline:
                raise UnavailableError(_no_supervisor(self._state))
            if now >= again_at and not self.is_running():
                again_at = now + 3.0
                self._spawn()
            clock.sleep(0.02)

    def _answers(self) -> bool:
        try:
            self._connect(1.0).close()
        except OSError:
            return False
        return self.is_running()

    def _spawn(self) -> None:
        """In a scope of systemd's where one is to be had, else as it is."""
        if not ((scope := _in_a_scope()) and self._spawned(scope)):
            self._spawned(())

    def _spawned(self, scope: Sequence[str]) -> bool:
        """Whether the supervisor went to the background; False when what should have started it failed."""
        log = os.open(self._state / "supervisor.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        module = ("-P", "-m", "havre.engines.process.supervisor")
        argv = [*scope, sys.executable, *module, "--state", str(self._state), *self._options]
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(_source_root()),
            "XDG_RUNTIME_DIR": str(runtime_directory()),
        }  # fmt: skip
        try:
            pid = os.posix_spawn(
                argv[0], argv, environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, null, 0), *((os.POSIX_SPAWN_DUP2, log, n) for n in (1, 2))],
            )  # fmt: skip
            _, status = os.waitpid(pid, 0)  # it goes to the background at once: no child of ours stays
            return os.waitstatus_to_exitcode(status) == 0
        finally:
            os.close(log)
            os.close(null)

    def _exchange(
        self, request: dict[str, Any], *, timeout: float | None, handles: Sequence[int] = ()
    ) -> dict[str, Any]:
        try:
            connection = self._connect(timeout)
        except OSError as error:
            raise _Vanished(was_asked=False) from error
        with contextlib.closing(connection):
            answer = _ask(connection, json.dumps(request).encode() + b"\n", handles)
        if not answer:
            raise _Vanished(was_asked=True)
        content: dict[str, Any] = json.loads(answer)
        if "error" in content:
            raise Refusal(content["error"], content.get("kind", ""))
        return content

    def _connect(self, timeout: float | None) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        directory = os.open(self._state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{directory}/{_ROOM}")
        except OSError:
            connection.close()
            raise
        finally:
            os.close(directory)
        return connection


def _facts(answer: dict[str, Any]) -> Facts:
    return Facts(
        pid=answer["pid"],
        isolated=answer["isolated"],
        why_not=answer["why_not"],
        limits=answer["limits"],
    )


def _ask(connection: socket.socket, request: bytes, handles: Sequence[int]) -> bytes:
    """The answer; empty when whoever should give it is gone."""
    try:
        socket.send_fds(connection, [request], list(handles))
        return _receive(connection)
    except ConnectionError:
        return b""


def _receive(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\n"):
        block = connection.recv(65536)
        if not block:
            return b""
        received += block
    return received


def _in_a_scope() -> tuple[str, ...]:
    """Without root, systemd's user manager gives the supervisor a place where it may limit what it starts."""
    return () if os.geteuid() == 0 else own_scope(delegated=True)


def _source_root() -> Path:
    return Path(__file__).resolve().parents[3]


def _no_supervisor(state: Path) -> Problem:
    return Problem(
        summary="the supervisor of the process engine does not answer",
        evidence=_last_words(state),
        hint=f"run the command again; if it persists, read {state / 'supervisor.log'}",
        code="process-supervisor",
    )


def _died(state: Path) -> Problem:
    return Problem(
        summary="the supervisor of the process engine ended in the middle of a request",
        evidence=_last_words(state),
        hint="run the command again: a new supervisor takes over what still runs",
        code="process-supervisor",
    )


def _last_words(state: Path) -> tuple[str, ...]:
    path = state / "supervisor.log"
    return tuple(path.read_text(errors="replace").splitlines()[-3:]) if path.exists() else ()
