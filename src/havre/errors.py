"""What can go wrong, told so that a tired person can act on it.

HavreError                 the base; carries one or more Problems
├── InputError             the user's files or flags are wrong; nothing was touched   (exit 2)
├── RefusedError           the request is understood and declined                     (exit 3)
├── BusyError              another release holds the instance                         (exit 4)
├── UnavailableError       a server Havre needs does not answer                       (exit 5)
└── FailedError            work was begun, failed, and was undone or is recorded      (exit 1)
"""

import enum
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Location(NamedTuple):
    """A place in a file: `line` and `column` count from 1; 0 means the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join([self.file, *(str(part) for part in (self.line, self.column) if part)])


class Severity(enum.Enum):
    """How a problem counts: an error stops the work, a warning is shown, a note explains."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Problem(NamedTuple):
    """One thing that is wrong: what, where, how we know, and the next step.

    `hint` is required: a problem nobody can act on is not worth showing. `subject` names the app or
    service, `where` is a place in a file or a key, `evidence` is what was seen (never a secret),
    `effect` what follows from it, `code` the stable id of the check that found it.
    """

    summary: str
    hint: str
    at: Location | None = None
    subject: str = ""
    evidence: tuple[str, ...] = ()
    effect: str = ""
    code: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        place = f"{self.at}: " if self.at else ""
        subject = f"{self.subject}: " if self.subject else ""
        lines = [f"{place}{subject}{self.summary}"]
        lines += [f"    {line}" for line in self.evidence]
        if self.effect:
            lines.append(f"  effect: {self.effect}")
        lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class HavreError(Exception):
    """The base of every error Havre raises on purpose; `problems` is never empty."""

    exit_code = 1

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = (problems,) if isinstance(problems, Problem) else tuple(problems)
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
