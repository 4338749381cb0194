"""The journal of a release: every step on disk before and after it is done (I3), and the time each phase took."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from havre.host import clock
from havre.model.plan import Phase, Plan, PlannedStep
from havre.model.release import JournalEntry, StepState
from havre.store.releases import Releases
from havre.workflows.execute import Witness


class Journal:
    """Writes what happens to the store, then tells the other witnesses (the screen)."""

    def __init__(
        self, releases: Releases, instance: str, release: int, *, offset: int = 0, others: Sequence[Witness] = ()
    ) -> None:
        self._releases = releases
        self._instance = instance
        self._release = release
        self._offset = offset
        self.others = others
        self._started: dict[int, float] = {}
        self._spans: dict[Phase, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def begin(self, plan: Plan) -> None:
        """Record all steps as pending."""
        entries = [self._entry(step, StepState.PENDING) for step in plan.steps]
        self._releases.write_journal(self._instance, entries)

    def __call__(self, step: PlannedStep, state: StepState, error: str) -> None:
        """Record one change."""
        now = clock.now()
        with self._lock:
            if state is StepState.STARTED:
                self._started[step.number] = now
            first, _ = self._spans.get(step.phase, (now, now))
            self._spans[step.phase] = (first, now)
        self._releases.write_journal(self._instance, [self._entry(step, state, error, now)])
        for other in self.others:
            other(step, state, error)

    @property
    def phases(self) -> tuple[tuple[str, float], ...]:
        """(phase, seconds from its first step's start to its last step's end)."""
        return tuple(
            (phase.name.lower(), round(last - first, 3)) for phase, (first, last) in sorted(self._spans.items())
        )

    def _entry(self, step: PlannedStep, state: StepState, error: str = "", now: float | None = None) -> JournalEntry:
        ended = state in (StepState.DONE, StepState.FAILED, StepState.SKIPPED)
        return JournalEntry(
            release=self._release,
            number=step.number + self._offset,
            kind=type(step.step).__name__,
            text=str(step.step),
            phase=int(step.phase),
            state=state,
            started_at=self._started.get(step.number),
            ended_at=now if ended else None,
            error=error,
        )
