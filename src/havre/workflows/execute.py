"""Run a plan: independent steps in parallel, each one recorded; all concurrency of Havre lives here (D4)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

from havre.errors import HavreError
from havre.model.plan import Plan, PlannedStep
from havre.model.release import StepState

WORKERS = 8
"""Steps at once: they wait for servers, they do not compute."""

Perform = Callable[[PlannedStep], None]


class Witness(Protocol):
    """Told of every change of a step's state, in the thread that made it; the journal and the screen are two."""

    def __call__(self, step: PlannedStep, state: StepState, error: str) -> None:
        """`error` is empty unless the state is FAILED."""
        ...


class Cancelled(Exception):  # noqa: N818 - it is not an error: the user said stop
    """The user asked to stop; raised by steps that wait, and by `execute` when nothing else failed."""


@dataclass(slots=True)
class Cancellation:
    """Set once, by Ctrl-C or a failing sibling step; steps that wait look at it."""

    event: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)
    _alarms: list[threading.Thread] = field(default_factory=list)

    def ask(self) -> None:
        """Ask everything that waits to stop waiting."""
        self.event.set()

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do `act` then, beside the steps, unless all is over before: what was asked to stop may take its time."""

        def alarm() -> None:
            if not self._over.wait(seconds):
                act()

        thread = threading.Thread(target=alarm, name="havre-alarm", daemon=True)
        self._alarms.append(thread)
        thread.start()

    def end(self) -> None:
        """All is over: what was to be done later is not done any more, or has been done."""
        self._over.set()
        for alarm in self._alarms:
            alarm.join()

    def check(self) -> None:
        """Raise Cancelled once asked."""
        if self.event.is_set():
            raise Cancelled

    def pause(self, seconds: float) -> None:
        """Wait, unless asked to stop meanwhile."""
        if self.event.wait(seconds):
            raise Cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a plan went: every step's state, and what failed first."""

    states: Mapping[int, StepState]
    error: HavreError | None = None
    failed: PlannedStep | None = None
    interrupted: bool = False

    @property
    def succeeded(self) -> bool:
        """True when every step is done."""
        return self.error is None and not self.interrupted


def execute(plan: Plan, perform: Perform, witness: Witness, cancellation: Cancellation) -> Outcome:
    """Perform every step after those it waits for; at the first failure start nothing more and let the rest end.

    Steps that wait are asked to stop as soon as a sibling fails. Ctrl-C (KeyboardInterrupt in the calling
    thread) counts as a failure without an error. A step is recorded as started before it is performed, so a
    crash leaves no unrecorded effect.
    """
    run = _Run(plan, perform, witness, cancellation)
    try:
        with ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="havre-step") as pool:
            try:
                run.drive(pool)
            except KeyboardInterrupt:
                run.interrupt()
    finally:
        cancellation.end()
    return run.outcome()


class _Run:
    def __init__(self, plan: Plan, perform: Perform, witness: Witness, cancellation: Cancellation) -> None:
        self._perform = perform
        self._witness = witness
        self._cancellation = cancellation
        self._steps = {step.number: step for step in plan.steps}
        self._waiting = {step.number: set(step.after) for step in plan.steps}
        self._states = dict.fromkeys(self._steps, StepState.PENDING)
        self._running: dict[Future[None], PlannedStep] = {}
        self._error: HavreError | None = None
        self._failed: PlannedStep | None = None
        self._interrupted = False

    def drive(self, pool: ThreadPoolExecutor) -> None:
        """Submit what is ready and collect what has ended until nothing is left."""
        self._submit_ready(pool)
        while self._running:
            ended, _ = wait(self._running, return_when=FIRST_COMPLETED)
            for future in sorted(ended, key=lambda future: self._running[future].number):
                self._collect(future)
            if self._error is None and not self._interrupted:
                self._submit_ready(pool)

    def interrupt(self) -> None:
        """Ctrl-C: ask waiting steps to stop and let the running ones end."""
        self._interrupted = True
        self._cancellation.ask()
        wait(self._running)
        for future in list(self._running):
            self._collect(future)

    def outcome(self) -> Outcome:
        """What is known once nothing runs any more."""
        return Outcome(states=dict(self._states), error=self._error, failed=self._failed, interrupted=self._interrupted)

    def _submit_ready(self, pool: ThreadPoolExecutor) -> None:
        ready = [number for number, after in self._waiting.items() if not after]
        for number in sorted(ready):
            del self._waiting[number]
            step = self._steps[number]
            self._states[number] = StepState.STARTED
            self._running[pool.submit(self._one, step)] = step

    def _one(self, step: PlannedStep) -> None:
        self._witness(step, StepState.STARTED, "")
        try:
            self._perform(step)
        except HavreError as error:
            self._witness(step, StepState.FAILED, str(error))
            raise
        except Cancelled:
            self._witness(step, StepState.SKIPPED, "")
            raise
        self._witness(step, StepState.DONE, "")

    def _collect(self, future: Future[None]) -> None:
        step = self._running.pop(future)
        try:
            future.result()
        except HavreError as error:
            self._states[step.number] = StepState.FAILED
            if self._error is None:
                self._error, self._failed = error, step
            self._cancellation.ask()
        except Cancelled:
            self._states[step.number] = StepState.SKIPPED
            self._interrupted = self._interrupted or self._error is None
        else:
            self._states[step.number] = StepState.DONE
            for after in self._waiting.values():
                after.discard(step.number)
