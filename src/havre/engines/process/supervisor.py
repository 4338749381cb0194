"""The one small process that keeps a server's replicas: starts, watches, logs, stops and restarts them.

Run as `python -m havre.engines.process.supervisor --state DIR`. It holds no truth of its own: everything is in
the replicas' directories, so it may be killed at any time; the next one takes over what still runs. It imports
the standard library only, to stay below 30 MB.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from havre.engines.process import child, kernel
from havre.engines.process.cgroups import Groups, usable_parents
from havre.engines.process.records import read_launch, write_json
from havre.engines.process.replica import Replica, exit_code, kill_session
from havre.engines.process.talk import Talk, short_path

PROTOCOL = 4
"""Raised when requests or records change: an older supervisor is then asked to leave (its replicas stay)."""

LOCK, SOCKET, FACTS, REPLICAS = "supervisor.lock", "supervisor.sock", "supervisor.json", "replicas"
IDLE_EXIT = 10.0
"""Seconds without a replica or a request after which it ends itself."""


class Supervisor:
    """The event loop; every request and every end of a process is handled in turn, in one thread."""

    def __init__(self, state: str, *, stay: bool, private_views: bool) -> None:
        self._state = state
        self._stay = stay
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._replicas: dict[str, Replica] = {}
        self._inside: dict[int, Callable[[int], None]] = {}
        self._talks: set[Talk] = set()
        self._busy_at = time.monotonic()
        self._leaving = False
        self._why_not_isolated = child.try_private_view() if private_views else "switched off"
        self._parents = usable_parents(_group_name(state))
        self._groups = Groups(self._parents)

    def run(self) -> None:
        """Serve until told to leave, or until there is nothing to keep."""
        kernel.adopt_orphans()
        self._listen_for_signals()
        self._adopt_all()
        self._open_socket()
        while not self._leaving:
            for key, _ in self._selector.select(self._until_next_timer()):
                key.data()
            self._run_timers()
            self._consider_idleness()
        if not self._replicas:
            self._groups.dismantle()

    # What replicas and conversations ask of the loop.

    def watch(self, handle: int, ready: Callable[[], None]) -> None:
        """Call `ready` whenever `handle` can be read."""
        self._selector.register(handle, selectors.EVENT_READ, ready)

    def unwatch(self, handle: int) -> None:
        """Stop watching, and close the handle."""
        self._selector.unregister(handle)
        os.close(handle)

    def later(self, seconds: float, due: Callable[[], None]) -> None:
        """Call `due` once after that time."""
        self._count += 1
        heapq.heappush(self._timers, (time.monotonic() + seconds, self._count, due))

    def when_over(self, pid: int, done: Callable[[int], None]) -> None:
        """Call `done` with the exit code of a child that is no replica."""
        self._inside[pid] = done

    # Requests: each takes the request's fields and answers through `talk`, at once or later.

    def answer(self, talk: Talk, request: dict[str, Any]) -> None:
        """Do what a request asks."""
        self._busy_at = time.monotonic()
        actions = {
            "hello": self._hello, "start": self._start, "stop": self._stop, "wait": self._wait,
            "remove": self._remove, "execute": self._execute, "leave": self._leave,
        }  # fmt: skip
        action = actions.get(request.get("do", ""))
        if action is None:
            talk.say(error=f"unknown request {request.get('do')!r}")
            return
        try:
            action(talk, request)
        except OSError as error:
            talk.say(error=f"{error.strerror}: {error.filename or request.get('key', '')}")

    def ended(self, talk: Talk) -> None:
        """A conversation is over."""
        self._talks.discard(talk)

    def _hello(self, talk: Talk, _: dict[str, Any]) -> None:
        talk.say(**self._facts())

    def _start(self, talk: Talk, request: dict[str, Any]) -> None:
        """`attached`: a one-off that ends with the conversation that asked for it."""
        replica = self._find(request["key"], fresh=not request.get("again", False))
        if replica is None:
            talk.say(error="there is no such replica")
            return
        try:
            replica.start()
        except child.LaunchError as error:
            talk.say(error=str(error), kind="launch")
            return
        if request.get("attached"):
            talk.when_gone(lambda: replica.stop(replica.launch.grace, _nothing))
            replica.when_ended(lambda: talk.say(exit=replica.status.exit_code))
        else:
            talk.say(pid=replica.status.pid, unenforced=replica.status.unenforced)

    def _stop(self, talk: Talk, request: dict[str, Any]) -> None:
        replica = self._find(request["key"])
        if replica is None:
            talk.say()
            return
        replica.stop(float(request["grace"]), lambda: talk.say(exit=replica.status.exit_code))

    def _wait(self, talk: Talk, request: dict[str, Any]) -> None:
        replica = self._find(request["key"])
        if replica is None:
            talk.say(error="there is no such replica")
            return
        replica.when_ended(lambda: talk.say(exit=replica.status.exit_code))

    def _remove(self, talk: Talk, request: dict[str, Any]) -> None:
        key = request["key"]
        replica = self._find(key)
        if replica is None:
            talk.say()
        elif replica.is_running:
            talk.say(error="it is running")
        else:
            replica.stop(0.0, _nothing)
            replica.close()
            self._replicas.pop(key, None)
            _remove_tree(replica.directory)
            talk.say()

    def _execute(self, talk: Talk, request: dict[str, Any]) -> None:
        replica = self._find(request["key"])
        if replica is None or not replica.is_running:
            talk.say(error="it is not running", kind="stopped")
            return
        user = request.get("user")
        try:
            pid = child.start_inside(
                replica.launch, replica.status.pid, request["argv"], dict(request["environment"]), talk.handles,
                user=None if user is None else (user[0], user[1]), terminal=bool(request.get("terminal")),
                groups=self._groups, group=replica.group,
            )  # fmt: skip
        except child.LaunchError as error:
            talk.say(error=str(error), kind="launch")
            return
        talk.close_handles()
        talk.when_gone(lambda: kill_session(pid))
        self._inside[pid] = lambda code: talk.say(exit=code)

    def _leave(self, talk: Talk, _: dict[str, Any]) -> None:
        talk.say()
        self._leaving = True

    # The loop's own affairs.

    def _facts(self) -> dict[str, Any]:
        return {
            "protocol": PROTOCOL, "pid": os.getpid(), "isolated": not self._why_not_isolated,
            "why_not": self._why_not_isolated, "limits": self._parents,
        }  # fmt: skip

    def _find(self, key: str, *, fresh: bool = False) -> Replica | None:
        """The replica with that key; with `fresh` as its launch record says now, unless it runs."""
        known = self._replicas.get(key)
        if known is not None and (known.is_running or not fresh):
            return known
        directory = f"{self._state}/{REPLICAS}/{key}"
        launch = read_launch(directory)
        if launch is None:
            return known
        if known is not None:
            known.stop(0.0, _nothing)
            known.close()
        self._replicas[key] = Replica(launch, directory, self._groups, self)
        return self._replicas[key]

    def _adopt_all(self) -> None:
        root = f"{self._state}/{REPLICAS}"
        for instance in _names(root):
            for name in _names(f"{root}/{instance}"):
                replica = self._find(f"{instance}/{name}")
                if replica is not None and replica.launch.role == "replica":
                    replica.adopt()
                elif replica is not None:
                    replica.adopt()
                    replica.stop(replica.launch.grace, _nothing)

    def _open_socket(self) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        with short_path(self._state) as directory:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{directory}/{SOCKET}")
            listener.bind(f"{directory}/{SOCKET}")
        listener.listen(64)
        self.watch(listener.fileno(), lambda: self._accept(listener))
        write_json(f"{self._state}/{FACTS}", self._facts())

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            connection, _ = listener.accept()
            talk = Talk(connection, self)
            self._talks.add(talk)

    def _listen_for_signals(self) -> None:
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _heard)
        signal.signal(signal.SIGTERM, _heard)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.watch(reading, lambda: self._on_signals(os.read(reading, 4096)))

    def _on_signals(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers:
            self._leaving = True
        self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._tell_end(pid, exit_code(status))

    def _tell_end(self, pid: int, code: int) -> None:
        if pid in self._inside:
            self._inside.pop(pid)(code)
            return
        for replica in self._replicas.values():
            if replica.status.pid == pid and replica.is_running:
                replica.reaped(code)
                return

    def _until_next_timer(self) -> float:
        longest = 60.0 if self._replicas or self._stay else IDLE_EXIT
        return max(0.0, min(self._timers[0][0] - time.monotonic(), longest)) if self._timers else longest

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    def _consider_idleness(self) -> None:
        if self._replicas or self._talks or self._stay:
            self._busy_at = time.monotonic()
        elif time.monotonic() - self._busy_at >= IDLE_EXIT:
            self._leaving = True


def main(arguments: list[str]) -> int:
    """Run the supervisor of `--state DIR`, unless one runs already.

    `--detach`: in the background; `--stay`: also when there is nothing to keep; `--plain`: without private views.
    """
    state = arguments[arguments.index("--state") + 1]
    if "--detach" in arguments and os.fork() > 0:
        return 0
    if os.getsid(0) != os.getpid():
        os.setsid()
    os.chdir("/")
    lock = os.open(f"{state}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if _locked(lock):
        Supervisor(state, stay="--stay" in arguments, private_views="--plain" not in arguments).run()
    return 0


def _locked(lock: int) -> bool:
    """Tries for a second: whoever only looks whether it is held, holds it for an instant too."""
    for _ in range(50):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def _heard(*_: object) -> None:
    """The wake-up pipe tells which signal it was."""


def _nothing() -> None:
    """For when nothing is to be done."""


def _remove_tree(directory: str) -> None:
    for parent, directories, files in os.walk(directory, topdown=False):
        for name in files:
            os.unlink(f"{parent}/{name}")
        for name in directories:
            path = f"{parent}/{name}"
            (os.unlink if os.path.islink(path) else os.rmdir)(path)
    os.rmdir(directory)


def _group_name(state: str) -> str:
    facts = os.stat(state)
    return f"{facts.st_dev:x}-{facts.st_ino:x}"


def _names(directory: str) -> list[str]:
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
