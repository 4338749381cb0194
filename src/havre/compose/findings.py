"""Collects problems while loading, so that a user sees all of them at once and each of them located."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from havre.compose.tree import Path, Sources, dotted
from havre.errors import InputError, Location

if TYPE_CHECKING:
    from havre.errors import Problem

_SHOWN = 100
_ENOUGH = 1_000


class Findings:
    """The problems and warnings of one load, in the order they were found."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.errors: list[Problem] = []
        self.paths: list[Path] = []
        """Of each error, the path of the value that is wrong; empty where it is not a value of the document."""
        self._warnings: dict[Problem, None] = {}
        self.values: dict[str, str] = {}
        """The variables used so far: the values of those that name secrets are never shown."""

    def error(
        self,
        summary: str,
        *,
        hint: str,
        spot: int = 0,
        path: Path = (),
        code: str = "",
        evidence: tuple[str, ...] = (),
        wrong: Path = (),
    ) -> None:
        """Record an error at a spot; the variables its value came from are added as evidence.

        `path` is what the message names, `wrong` the value itself where that is more exact.
        """
        self.paths.append(wrong or path)
        self.errors.append(
            _problem(
                self._shown(summary),
                hint=self._shown(hint),
                at=self.sources.location(spot),
                subject=dotted(path),
                evidence=evidence + self._variables(spot),
                code=code,
            )
        )
        if len(self.errors) >= _ENOUGH:
            self.stop_on_errors()

    def warn(self, summary: str, *, hint: str, at: Location | None, code: str, subject: str = "") -> None:
        """Record a warning; it never stops the load, and the same one is told once."""
        problem = _problem(summary, hint=hint, at=at, subject=subject, code=code, severity="warning")
        if len(self._warnings) < _ENOUGH:
            self._warnings[problem] = None

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The warnings in the order they were found."""
        return tuple(self._warnings)

    def stop_on_errors(self) -> None:
        """End the load here when any error has been found so far."""
        if not self.errors:
            return
        shown = sorted(dict.fromkeys(self.errors), key=_by_place)
        left = len(shown) - _SHOWN
        if left > 0:
            more = _problem(f"{left} further problems are not shown", hint="fix these first, then check again")
            shown = [*shown[:_SHOWN], more]
        raise InputError(shown)

    def _shown(self, text: str) -> str:
        from havre.model.secrets_mask import is_secret_name, mask_text  # only needed when something is wrong

        return mask_text(text, [value for name, value in self.values.items() if value and is_secret_name(name)])

    def _variables(self, spot: int) -> tuple[str, ...]:
        return tuple(f"the value uses {use}" for use in self.sources.uses.get(spot, ()))


def fail(summary: str, *, hint: str, at: Location | None = None, code: str = "", subject: str = "") -> InputError:
    """The error for a problem after which loading cannot go on at all."""
    return InputError(_problem(summary, hint=hint, at=at, code=code, subject=subject))


def _problem(summary: str, *, severity: str = "error", **more: Any) -> Problem:
    from havre.errors import Problem, Severity  # only needed when something is wrong

    return Problem(summary=summary, severity=Severity(severity), **more)


def closest(word: str, known: Collection[str]) -> str:
    """The hint for a word nobody knows: the nearest known one, when there is one."""
    from difflib import get_close_matches  # only needed when something is wrong

    close = get_close_matches(word, known, n=1)
    return f"did you mean `{close[0]}`?" if close else ""


def _by_place(problem: Problem) -> tuple[str, int, int]:
    at = problem.at or Location("")
    return (at.file, at.line, at.column)
