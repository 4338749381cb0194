"""One-offs: a container that runs once to its end, told line by line, and kept when it failed."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

from havre.engines.base import Context, Progress
from havre.engines.docker import frames, labels
from havre.engines.docker.client import DockerClient
from havre.engines.docker.containers import Containers
from havre.engines.docker.translate import task_digest
from havre.errors import FailedError, Problem
from havre.host import clock
from havre.model.plan import RunTask

Json = Mapping[str, Any]

_LAST_LINES = 15
_REMEMBERED = 50_000
"""How many lines can be recognised as told already; more than anybody writes within a second."""
_STOP_GRACE = 10.0


class Tasks:
    """The one-offs of one engine."""

    def __init__(self, client: DockerClient, containers: Containers) -> None:
        self._client = client
        self._containers = containers

    def run(self, step: RunTask, context: Context, progress: Progress | None) -> None:
        """Run it to its end; raises FailedError with its last lines unless it ended with exit code 0."""
        container = self._begun(step, context) or self._begin(step, context)
        deadline = clock.elapsed() + step.timeout
        output = _Output(progress)
        self._follow(container, deadline, output)
        timed_out = clock.elapsed() >= deadline
        state = self._ended(container, deadline, step)
        self._read_rest(container, output)
        if state["ExitCode"] != 0 or state.get("OOMKilled"):
            raise FailedError(_failed(step, context, state, output.last, timed_out=timed_out))
        self._containers.remove(container, doing=f"remove the finished {step.service.name} {step.role}")

    def _begun(self, step: RunTask, context: Context) -> str | None:
        """A run of this very step that was cut short: taken up again, so that no migration ever runs twice at once."""
        if step.role == "task" and step.title == "run":
            return None  # what a person asks for is run each time it is asked
        digest = task_digest(step.service, step.command, step.title)
        for listed in self._containers.listed(context.instance, step.service.name):
            own = listed["Labels"]
            if own.get(labels.TASK) != digest:
                continue
            same_release = own.get(labels.RELEASE) == str(context.release)
            if listed["State"] == "running" or (same_release and _succeeded(listed)):
                return str(listed["Id"])
            self._containers.remove(listed["Id"], doing="remove an earlier attempt", force=True)
        return None

    def _begin(self, step: RunTask, context: Context) -> str:
        service = step.service
        taken = {
            labels.number(listed["Labels"], labels.SLOT)
            for listed in self._containers.listed(context.instance, service.name)
        }
        slot = next(number for number in range(labels.FIRST_TASK_SLOT, 1 << 30) if number not in taken)
        placement = self._containers.placement(
            service, context, slot=slot, role=step.role, fingerprint=step.fingerprint, command=step.command
        )
        digest = task_digest(service, step.command, step.title)
        container = self._containers.create(service, context, placement, task=digest)
        self._containers.start(container, doing=f"{step.title} {service.name}")
        return container

    def _follow(self, container: str, deadline: float, output: _Output) -> None:
        """Its output as it comes; at the deadline it is stopped, which ends the stream."""
        timer = threading.Timer(max(0.0, deadline - clock.elapsed()), self._stop, args=(container,))
        timer.daemon = True
        timer.start()
        try:
            self._read(container, output, follow=True)
        finally:
            timer.cancel()

    def _read_rest(self, container: str, output: _Output) -> None:
        """What a follower misses: lines written just before the end."""
        with contextlib.suppress(FailedError):  # somebody else who waited for it too may be removing it
            self._read(container, output, follow=False)

    def _read(self, container: str, output: _Output, *, follow: bool) -> None:
        found = self._containers.inspect(container, doing="look at the one-off") or {}
        query = {"stdout": True, "stderr": True, "timestamps": True, "follow": follow, "since": output.since}
        with self._client.stream("GET", f"/containers/{container}/logs", query, doing="read its output") as stream:
            chunks = stream.chunks()
            is_terminal = (found.get("Config") or {}).get("Tty")
            pieces = frames.raw(chunks) if is_terminal else frames.rejoin(frames.demultiplex(chunks))
            for _, line in frames.lines(pieces):
                output.hear(line)

    def _stop(self, container: str) -> None:
        self._containers.stop(container, _STOP_GRACE, doing="stop a one-off that takes too long")

    def _ended(self, container: str, deadline: float, step: RunTask) -> Json:
        """Its final state; output ends a moment before the process, and early when the engine restarts."""
        give_up = max(deadline, clock.elapsed()) + _STOP_GRACE + 5
        while True:
            found = self._containers.ended(container, doing=f"see how {step.title} {step.service.name} ended")
            if found is None:
                raise FailedError(_vanished(step))
            state: Json = found["State"]
            if not state.get("Running"):
                return state
            if clock.elapsed() >= give_up:
                self._stop(container)
            clock.sleep(0.05)


class _Output:
    """What a one-off said: told once, line by line, and the end of it kept."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._recent: dict[str, None] = {}
        self._newest = ""
        self.last: deque[str] = deque(maxlen=_LAST_LINES)

    @property
    def since(self) -> str | None:
        """From when on lines may be missing: before the newest one, for two streams may overtake each other."""
        return frames.since(self._newest, earlier=1) if self._newest else None

    def hear(self, line: str) -> None:
        """Take one line with its time, unless this very line was heard before."""
        if line in self._recent:
            return
        stamp, _, text = line.partition(" ")
        self._newest = max(self._newest, stamp)
        self._recent[line] = None
        if len(self._recent) > _REMEMBERED:
            del self._recent[next(iter(self._recent))]
        self.last.append(text)
        if self._progress is not None:
            self._progress(text)


def _succeeded(listed: Json) -> bool:
    return listed["State"] == "exited" and str(listed.get("Status", "")).startswith("Exited (0)")


def _failed(step: RunTask, context: Context, state: Json, last: deque[str], *, timed_out: bool) -> Problem:
    if state.get("OOMKilled"):
        how = "it was killed because it used more memory than its limit"
    elif timed_out:
        how = f"it did not finish within {step.timeout:g} s and was stopped"
    else:
        how = f"exit code {state['ExitCode']}"
    error = [state["Error"]] if state.get("Error") else []
    return Problem(
        summary=f"{step} failed: {how}",
        subject=context.instance,
        evidence=(*last, *error),
        hint=f"its container is kept: `havre logs --failed {step.service.name}` shows all it said",
        code="task-failed",
    )


def _vanished(step: RunTask) -> Problem:
    return Problem(
        summary=f"{step}: its container was removed by somebody else before it ended",
        hint="see `docker events --since 10m`; then run the command again",
        code="task-vanished",
    )
