"""What can go wrong, told so that a tired person can act on it.

HavreError                 the base; carries one or more Problems
├── InputError             the user's files or flags are wrong; nothing was touched   (exit 2)
├── RefusedError           the request is understood and declined                     (exit 3)
├── BusyError              another release holds the instance                         (exit 4)
├── UnavailableError       a server Havre needs does not answer                       (exit 5)
└── FailedError            work was begun, failed, and was undone or is recorded      (exit 1)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from havre.problem import Problem, Severity

__all__ = [
    "EXIT_CODES",
    "BusyError",
    "FailedError",
    "HavreError",
    "InputError",
    "Location",
    "Problem",
    "RefusedError",
    "Severity",
    "UnavailableError",
]


class Location:
    """A place in a file: `line` and `column` count from 1; 0 means the file as a whole."""

    __slots__ = ("column", "file", "line")

    def __init__(self, file: str, line: int = 0, column: int = 0) -> None:
        self.file = file
        self.line = line
        self.column = column

    def __str__(self) -> str:
        return ":".join([self.file, *(str(part) for part in (self.line, self.column) if part)])

    def __repr__(self) -> str:
        return f"Location({self.file!r}, {self.line}, {self.column})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Location) and self.as_tuple() == other.as_tuple()

    def __lt__(self, other: Location) -> bool:
        return self.as_tuple() < other.as_tuple()

    def __hash__(self) -> int:
        return hash(self.as_tuple())

    def as_tuple(self) -> tuple[str, int, int]:
        """File, line, column."""
        return self.file, self.line, self.column


def __getattr__(name: str) -> Any:
    """`Problem` and `Severity`, loaded when they are first used."""
    if name not in ("Problem", "Severity"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from havre import problem

    return getattr(problem, name)


class HavreError(Exception):
    """The base of every error Havre raises on purpose; `problems` is never empty."""

    exit_code = 1

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = tuple(problems) if isinstance(problems, Iterable) else (problems,)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InputError(HavreError):
    """The user's files, flags or environment are wrong; nothing was touched."""

    exit_code = 2


class RefusedError(HavreError):
    """The request is understood and declined, because it would harm what runs."""

    exit_code = 3


class BusyError(HavreError):
    """Another command holds this instance; it names the holder."""

    exit_code = 4


class UnavailableError(HavreError):
    """A server that Havre needs (engine, edge, registry, storage) does not answer."""

    exit_code = 5


class FailedError(HavreError):
    """Work was begun and failed; what was serving still serves, and the record says what happened."""

    exit_code = 1


EXIT_CODES: dict[int, str] = {
    0: "done",
    1: "failed: the work was begun, failed and was undone; the release record has the details",
    2: "bad input: a file, flag or variable is wrong; nothing was touched",
    3: "refused: the request would harm what runs; nothing was touched",
    4: "busy: another release of this instance is under way",
    5: "unavailable: the engine or another needed server does not answer",
    130: "interrupted: Ctrl-C; the old release is still serving",
}
