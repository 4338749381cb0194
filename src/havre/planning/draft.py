"""A plan while it is being written: steps get their numbers in the order in which they are added."""

from __future__ import annotations

from collections.abc import Iterable

from havre.model.plan import Phase, Plan, PlannedStep, Step


class Draft:
    """Collects steps and notes; a step may wait only for steps added before it, so no cycle can arise."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._steps: list[PlannedStep] = []
        self._notes: list[str] = []

    def add(self, step: Step, reason: str, *, phase: Phase, after: Iterable[int] = ()) -> int:
        """Append a step and return its number."""
        number = len(self._steps) + 1
        waits = tuple(sorted(set(after)))
        self._steps.append(PlannedStep(number=number, step=step, reason=reason, after=waits, phase=phase))
        return number

    def note(self, text: str) -> None:
        """Append a fact that the user should see, once."""
        if text not in self._notes:
            self._notes.append(text)

    @property
    def is_empty(self) -> bool:
        """True as long as no step was added."""
        return not self._steps

    def plan(self) -> Plan:
        """What was written so far."""
        return Plan(instance=self._instance, steps=tuple(self._steps), notes=tuple(self._notes))
