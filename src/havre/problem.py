"""One thing that is wrong, as every command tells it.

Take it from `havre.errors`, which loads this module when a problem is first made: whoever finds nothing wrong, as
the Compose loader mostly does, need not wait for `dataclasses`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from havre.errors import Location


class Severity(enum.Enum):
    """How a problem counts: an error stops the work, a warning is shown, a note explains."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
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

    @property
    def headline(self) -> str:
        """Where, who and what, each said once."""
        place = str(self.at) if self.at else ""
        return ": ".join(word for word in dict.fromkeys((place, self.subject, self.summary)) if word)

    def __str__(self) -> str:
        lines = [self.headline]
        lines += [f"    {line}" for line in self.evidence]
        if self.effect:
            lines.append(f"  effect: {self.effect}")
        lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)
