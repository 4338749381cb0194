"""Executing a plan: order, parallelism, failure and Ctrl-C."""

from __future__ import annotations

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from havre.errors import FailedError, Problem
from havre.model.plan import Drain, Plan, PlannedStep
from havre.model.release import StepState
from havre.workflows.execute import Cancellation, execute


def plan(*after: tuple[int, ...]) -> Plan:
    return Plan(
        instance="shop",
        steps=tuple(
            PlannedStep(number=number, step=Drain(service="web", slot=number), reason="test", after=needs)
            for number, needs in enumerate(after, start=1)
        ),
    )


class Log:
    """Remembers every change of state in order."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, StepState]] = []
        self._lock = threading.Lock()

    def __call__(self, step: PlannedStep, state: StepState, error: str) -> None:
        with self._lock:
            self.lines.append((step.number, state))

    def position(self, number: int, state: StepState) -> int:
        return self.lines.index((number, state))


def nothing(step: PlannedStep) -> None:
    """A step that succeeds at once."""


def fail_at(number: int) -> object:
    def perform(step: PlannedStep) -> None:
        if step.number == number:
            raise FailedError(Problem(summary="no", hint="try"))

    return perform


@given(st.data())
def test_no_step_begins_before_those_it_waits_for_are_done(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 8))
    after = [tuple(sorted(data.draw(st.sets(st.integers(1, n))))) if n else () for n in range(size)]
    log = Log()
    outcome = execute(plan(*after), nothing, log, Cancellation())
    assert outcome.succeeded
    for number, needs in enumerate(after, start=1):
        for need in needs:
            assert log.position(need, StepState.DONE) < log.position(number, StepState.STARTED)


def test_independent_steps_run_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=5)

    def meet(step: PlannedStep) -> None:
        meeting.wait()

    outcome = execute(plan((), (), ()), meet, Log(), Cancellation())
    assert outcome.succeeded


def test_after_a_failure_nothing_more_is_started() -> None:
    log = Log()
    outcome = execute(plan((), (1,), (2,)), fail_at(2), log, Cancellation())  # type: ignore[arg-type]
    assert outcome.failed is not None
    assert outcome.failed.number == 2
    assert outcome.states == {1: StepState.DONE, 2: StepState.FAILED, 3: StepState.PENDING}
    assert (3, StepState.STARTED) not in log.lines


def test_a_waiting_sibling_is_asked_to_stop_when_a_step_fails() -> None:
    cancellation = Cancellation()

    def perform(step: PlannedStep) -> None:
        if step.number == 1:
            cancellation.pause(30)
        else:
            raise FailedError(Problem(summary="no", hint="try"))

    before = time.monotonic()
    outcome = execute(plan((), ()), perform, Log(), cancellation)
    assert time.monotonic() - before < 5
    assert outcome.states[1] is StepState.SKIPPED
    assert not outcome.interrupted


def test_asking_to_stop_is_an_interruption_not_a_failure() -> None:
    cancellation = Cancellation()
    threading.Timer(0.05, cancellation.ask).start()
    outcome = execute(plan(()), lambda _: cancellation.pause(30), Log(), cancellation)
    assert outcome.interrupted
    assert outcome.error is None


def test_what_is_due_later_is_done_beside_a_step_that_lasts_and_never_after_the_end() -> None:
    cancellation, done = Cancellation(), []

    def perform(step: PlannedStep) -> None:
        cancellation.after(0.02, lambda: done.append("due"))
        cancellation.after(0.4, lambda: done.append("too late"))
        time.sleep(0.2)

    assert execute(plan(()), perform, Log(), cancellation).succeeded
    assert done == ["due"]
    time.sleep(0.4)
    assert done == ["due"]


def test_what_is_due_later_is_done_as_well_while_a_failed_release_waits_for_a_step_that_cannot_be_cut_short() -> None:
    cancellation, done = Cancellation(), []

    def perform(step: PlannedStep) -> None:
        if step.number == 1:
            cancellation.after(0.1, lambda: done.append("due"))
            raise FailedError(Problem(summary="no", hint="try"))
        time.sleep(0.4)

    assert not execute(plan((), ()), perform, Log(), cancellation).succeeded
    assert done == ["due"]


def test_what_is_due_later_is_not_done_once_a_failed_release_is_over() -> None:
    cancellation, done = Cancellation(), []

    def perform(step: PlannedStep) -> None:
        cancellation.after(0.1, lambda: done.append("due"))
        raise FailedError(Problem(summary="no", hint="try"))

    assert not execute(plan(()), perform, Log(), cancellation).succeeded
    time.sleep(0.2)
    assert done == []
