"""One-offs: a container that runs once to its end, told line by line, and kept when it failed."""

from __future__ import annotations

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
        last = self._follow(container, deadline, progress)
        state = self._ended(container, deadline, step)
        if state["ExitCode"] != 0 or state.get("OOMKilled"):
            raise FailedError(_failed(step, context, state, last, timed_out=clock.elapsed() >= deadline))
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

    def _follow(self, container: str, deadline: float, progress: Progress | None) -> deque[str]:
        """Its output as it comes; at the deadline it is stopped, which ends the stream."""
        last: deque[str] = deque(maxlen=_LAST_LINES)
        found = self._containers.inspect(container, doing="look at the one-off") or {}
        unframe = frames.raw if (found.get("Config") or {}).get("Tty") else frames.demultiplex
        timer = threading.Timer(max(0.0, deadline - clock.elapsed()), self._stop, args=(container,))
        timer.daemon = True
        timer.start()
        try:
            query = {"stdout": True, "stderr": True, "follow": True}
            with self._client.stream("GET", f"/containers/{container}/logs", query, doing="read its output") as stream:
                for _, line in frames.lines(unframe(stream.chunks())):
                    last.append(line)
                    if progress is not None:
                        progress(line)
        finally:
            timer.cancel()
        return last

    def _stop(self, container: str) -> None:
        self._containers.stop(container, _STOP_GRACE, doing="stop a one-off that takes too long")

    def _ended(self, container: str, deadline: float, step: RunTask) -> Json:
        """Its final state; output ends a moment before the process, and early when the engine restarts."""
        give_up = max(deadline, clock.elapsed()) + _STOP_GRACE + 5
        while True:
            found = self._containers.inspect(container, doing=f"see how {step.title} {step.service.name} ended")
            if found is None:
                raise FailedError(_vanished(step))
            state: Json = found["State"]
            if not state.get("Running"):
                return state
            if clock.elapsed() >= give_up:
                self._stop(container)
            clock.sleep(0.05)


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
