"""Show a release as it happens: one live line per service on a terminal, one line per event elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable

import click

from havre.cli.show import height, width
from havre.host import clock
from havre.model.plan import AwaitHealthy, BuildImage, PlannedStep, RunTask, StartReplica
from havre.model.release import StepState
from havre.model.units import show_seconds

SIGNS = {
    StepState.STARTED: ("…", "cyan"),
    StepState.DONE: ("✓", "green"),
    StepState.FAILED: ("✗", "red"),
    StepState.SKIPPED: ("-", "yellow"),
}
REFRESH = 0.2


class Progress:
    """Told of every step; draws the block of running steps below the finished ones when a person watches."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._running: dict[int, tuple[PlannedStep, float]] = {}
        self._detail: dict[str, str] = {}
        self._drawn = 0
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._painter: threading.Thread | None = None

    def __enter__(self) -> Progress:
        if self._live:
            self._painter = threading.Thread(target=self._paint, name="havre-screen", daemon=True)
            self._painter.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._painter:
            self._painter.join()
        with self._lock:
            self._erase()

    def __call__(self, step: PlannedStep, state: StepState, error: str) -> None:  # noqa: ARG002 - shown at the end
        """A step changed its state."""
        now = clock.elapsed()
        with self._lock:
            self._erase()
            if state is StepState.STARTED:
                self._running[step.number] = (step, now)
                if not self._live:
                    click.echo(f"  {SIGNS[state][0]} {step.step}")
            else:
                _, began = self._running.pop(step.number, (step, now))
                self._detail.clear()  # it may have been this step's
                sign, colour = SIGNS[state]
                took = show_seconds(now - began)
                click.echo(f"  {click.style(sign, fg=colour)} {step.step} {click.style(f'({took})', dim=True)}")
            self._draw()

    def line(self, text: str) -> None:
        """A line of progress from inside a step (a build's output): the newest is shown while it runs."""
        with self._lock:
            if self._live:
                self._detail["newest"] = text.strip()
            else:
                click.echo(f"    {text.rstrip()}")

    def _paint(self) -> None:
        while not self._done.wait(REFRESH):
            with self._lock:
                self._erase()
                self._draw()

    def _draw(self) -> None:
        if not self._live:
            return
        # What scrolls off the screen cannot be drawn over again.
        lines = list(self._lines())[: max(1, height() - 2)]
        for line in lines:
            click.echo(line[: width() - 1])
        self._drawn = len(lines)
        sys.stdout.flush()

    def _lines(self) -> Iterable[str]:
        now = clock.elapsed()
        for step, began in self._running.values():
            yield f"  … {step.step} ({show_seconds(now - began)})"
        if self._detail.get("newest") and any(_talks(step) for step, _ in self._running.values()):
            yield f"      {self._detail['newest']}"

    def _erase(self) -> None:
        if self._drawn:
            click.echo(f"\x1b[{self._drawn}A\x1b[J", nl=False)
            self._drawn = 0


def _talks(step: PlannedStep) -> bool:
    return isinstance(step.step, BuildImage | RunTask | StartReplica | AwaitHealthy)
