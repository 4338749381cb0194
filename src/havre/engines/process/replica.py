"""One replica under supervision: started, watched, logged, stopped, started again."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from havre.engines.process import child, proctable
from havre.engines.process.cgroups import Groups, Limits
from havre.engines.process.health import HealthWatch
from havre.engines.process.logfile import LogFile
from havre.engines.process.records import Launch, read_status, write_status
from havre.engines.process.restarts import STEADY_AFTER, pause_before_restart

_STREAMS = {"stdout": "o", "stderr": "e"}
_PIPE_SIZE = 256 * 1024
_F_SETPIPE_SZ = 1031
_BLOCK = 64 * 1024
LINGER = 5.0
"""Seconds after a kill at which what is left of a replica is killed again."""


class Loop(Protocol):
    """What a replica asks of the supervisor's event loop."""

    def watch(self, handle: int, ready: Callable[[], None]) -> None:
        """Call `ready` whenever `handle` can be read."""
        ...

    def unwatch(self, handle: int) -> None:
        """Stop watching, and close the handle."""
        ...

    def later(self, seconds: float, due: Callable[[], None]) -> None:
        """Call `due` once after that time."""
        ...

    def when_over(self, pid: int, done: Callable[[int], None]) -> None:
        """Call `done` with the exit code of a child of ours that is no replica."""
        ...


class Replica:
    """`directory` holds its records, its log and the two pipes it writes to."""

    def __init__(self, launch: Launch, directory: str, groups: Groups, loop: Loop) -> None:
        self.launch = launch
        self.directory = directory
        self.status = read_status(directory)
        self.group = launch.key.replace("/", "_")
        self._groups = groups
        self._loop = loop
        self._log = LogFile(directory, size=launch.log_size, files=launch.log_files)
        self._pipes: dict[str, int] = {}
        self._pidfd = -1
        self._namespace = -1
        self._failures = 0
        self._waiting: list[Callable[[], None]] = []
        self._generation = 0

    @property
    def is_running(self) -> bool:
        """True from its start until its end was handled."""
        return self.status.state == "running"

    def start(self) -> None:
        """Start it, unless it runs. Raises LaunchError, and writes the reason to its log."""
        if self.is_running:
            return
        self._generation += 1
        self.status.wanted = True
        self._open_pipes()
        limits = Limits(memory=self.launch.memory, cpus=self.launch.cpus, pids=self.launch.pids)
        self.status.unenforced = list(self._groups.make(self.group, limits))
        try:
            pid = child.start_replica(self.launch, self.directory, self._groups, self.group)
        except child.LaunchError as error:
            self._failed_to_start(str(error))
            raise
        self._started(pid)

    def adopt(self) -> None:
        """Take over a replica that an earlier supervisor started, or do what its end asks for."""
        status = self.status
        if status.state == "restarting":
            self._again(0.0)
        elif status.state == "running":
            self._open_pipes()
            if proctable.is_alive(status.pid, status.started_ticks, status.boot):
                self._hold_namespace()
                self._watch_end(status.pid)
                self._failures = 0
                self._watch_health()
            else:
                self._ended(None)

    def stop(self, grace: float, done: Callable[[], None]) -> None:
        """Ask it to stop, kill what is left of it after `grace` seconds, then call `done`."""
        self._generation += 1
        self.status.wanted = False
        if not self.is_running:
            self.status.state = "exited" if self.status.state == "restarting" else self.status.state
            self._save()
            done()
            return
        self._waiting.append(done)
        self._save()
        self._signal(self.launch.stop_signal)
        generation = self._generation
        self._loop.later(grace, lambda: self._kill(generation))

    def when_ended(self, done: Callable[[], None]) -> None:
        """Call `done` once it does not run any more."""
        if self.is_running:
            self._waiting.append(done)
        else:
            done()

    def reaped(self, code: int) -> None:
        """Its main process ended with that exit code."""
        self._ended(code)

    def close(self) -> None:
        """Let go of its files; it is about to be removed, or the supervisor leaves it running."""
        for handle in self._pipes.values():
            self._loop.unwatch(handle)
        self._pipes.clear()
        self._unwatch_end()
        self._let_namespace_go()
        self._log.close()

    def note(self, text: str) -> None:
        """A line of our own in its log."""
        self._log.write("e", f"havre: {text}\n".encode(), time.time())

    def run_inside(
        self, argv: Sequence[str], output: int, done: Callable[[int], None], *, timeout: float
    ) -> None:  # fmt: skip
        """Run a command in its world, killed after `timeout` seconds. Raises LaunchError."""
        environment = {**dict(self.launch.environment), **dict(self.launch.inside)}
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            pid = child.start_inside(
                self.launch, self.status.pid, argv, environment, (null, output, output),
                user=None, terminal=False, groups=self._groups, group=self.group,
            )  # fmt: skip
        finally:
            os.close(null)
        over: list[int] = []

        def ended(code: int) -> None:
            over.append(code)
            done(code)

        self._loop.when_over(pid, ended)
        self._loop.later(timeout, lambda: None if over else kill_session(pid))

    def later(self, seconds: float, due: Callable[[], None]) -> None:
        """Call `due` once after that time."""
        self._loop.later(seconds, due)

    def _watch_health(self) -> None:
        HealthWatch(self.launch, self.status, self.directory, self, self._save).begin()

    def _started(self, pid: int) -> None:
        found = proctable.stat(pid)
        status = self.status
        status.state, status.pid, status.boot = "running", pid, proctable.boot_id()
        status.started_ticks = found.started if found else 0
        self._hold_namespace()
        status.started_at, status.finished_at = time.time(), 0.0
        status.exit_code, status.oom_killed, status.health = None, False, ""
        self._save()
        self._watch_health()

    def _failed_to_start(self, reason: str) -> None:
        self.note(f"cannot start: {reason}")
        self.status.state, self.status.exit_code = "exited", 127
        self.status.started_at = self.status.finished_at = time.time()
        self._save()

    def _watch_end(self, pid: int) -> None:
        """It is not our child: the kernel tells of its end through a handle, and of its exit code never."""
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._ended(None)
        else:
            self._loop.watch(self._pidfd, lambda: self._ended(None))

    def _unwatch_end(self) -> None:
        if self._pidfd >= 0:
            self._loop.unwatch(self._pidfd)
            self._pidfd = -1

    def _ended(self, code: int | None) -> None:
        if not self.is_running:
            return
        self._unwatch_end()
        self._sweep()
        self._let_namespace_go()
        self._drain()
        self._log.finish(time.time())
        status = self.status
        status.finished_at, status.exit_code = time.time(), code
        status.oom_killed = self._groups.out_of_memory(self.group) > 0
        self._groups.remove(self.group)
        pause = self._pause()
        status.state = "exited" if pause is None else "restarting"
        self._save()
        if pause is not None:
            self._again(pause)
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done()

    def _pause(self) -> float | None:
        status = self.status
        if status.finished_at - status.started_at >= STEADY_AFTER:
            self._failures = 0
        if not status.wanted:
            return None
        pause = pause_before_restart(
            self.launch.restart, self.launch.attempts, exit_code=status.exit_code, failures=self._failures
        )
        self._failures += 1
        return pause

    def _again(self, pause: float) -> None:
        generation = self._generation
        self._loop.later(pause, lambda: self._restart(generation))

    def _restart(self, generation: int) -> None:
        if generation != self._generation or not self.status.wanted or self.is_running:
            return
        self.status.restarts += 1
        try:
            self.start()
        except child.LaunchError:
            pause = self._pause()
            if pause is not None:
                self.status.state = "restarting"
                self._save()
                self._again(pause)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.launch.signal_group:
                os.killpg(self.status.pid, number)
            else:
                os.kill(self.status.pid, number)

    def _kill(self, generation: int) -> None:
        if generation != self._generation or not self.is_running:
            return
        self._sweep()
        self._loop.later(LINGER, lambda: self._kill(generation))

    def _sweep(self) -> None:
        """Kill every process of the replica that is left, until none is."""
        for _ in range(3):
            left = self._members()
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not left:
                return

    def _members(self) -> set[int]:
        status = self.status
        same_boot = status.boot == proctable.boot_id()
        current = proctable.stat(status.pid) if status.pid else None
        reused = current is not None and current.started != status.started_ticks
        pid = status.pid if status.pid and same_boot and not reused else -1
        namespace = os.fstat(self._namespace).st_ino if self._namespace >= 0 else 0
        found = proctable.members(self.launch.mark, pid, namespace)
        return {*found, *self._groups.members(self.group)}

    def _hold_namespace(self) -> None:
        """Open as long as it runs, so that its number stays its own; a view of its own is what it is told by."""
        self._let_namespace_go()
        if self.launch.isolated:
            self._namespace = proctable.open_mount_namespace(self.status.pid)
        self.status.namespace = os.fstat(self._namespace).st_ino if self._namespace >= 0 else 0

    def _let_namespace_go(self) -> None:
        if self._namespace >= 0:
            os.close(self._namespace)
            self._namespace = -1

    def _open_pipes(self) -> None:
        for name in _STREAMS:
            if name in self._pipes:
                continue
            path = f"{self.directory}/{name}"
            with contextlib.suppress(FileExistsError):
                os.mkfifo(path, 0o600)
            if os.geteuid() == 0 and self.launch.uid > 0:
                os.chown(path, self.launch.uid, -1)
            # Opened for writing too: neither side ever sees the other one missing.
            handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._enlarge(handle)
            self._pipes[name] = handle
            self._loop.watch(handle, partial(self._take, name))

    def _enlarge(self, handle: int) -> None:
        with contextlib.suppress(OSError):  # the user's share of pipe memory is used up: the default will do
            fcntl.fcntl(handle, _F_SETPIPE_SZ, _PIPE_SIZE)

    def _take(self, name: str) -> None:
        self._read(name)

    def _read(self, name: str) -> bool:
        try:
            data = os.read(self._pipes[name], _BLOCK)
        except BlockingIOError:
            return False
        self._log.write(_STREAMS[name], data, time.time())
        return True

    def _drain(self) -> None:
        for name in self._pipes:
            while self._read(name):
                continue

    def _save(self) -> None:
        with contextlib.suppress(OSError):  # a full disk must not end what keeps everything running
            write_status(self.directory, self.status)


def kill_session(pid: int) -> None:
    """Kill a command and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def exit_code(wait_status: int) -> int:
    """The exit code as a shell reports it: 128 and the signal's number after a signal."""
    code = os.waitstatus_to_exitcode(wait_status)
    return 128 - code if code < 0 else code
