"""A table of what is asked of something the server has only so much of, and whether that fits."""

from __future__ import annotations

from dataclasses import dataclass

from havre.model.units import show_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLine:
    """One line of the table, in bytes; `note` says where the figure comes from."""

    name: str
    size: int
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What there is in all, what is asked of it, and whether that fits; `str` is the table."""

    total: int
    lines: tuple[BudgetLine, ...]
    whole: str = "server"
    """What `total` is called in the table."""

    @property
    def asked(self) -> int:
        """The sum of all lines, in bytes."""
        return sum(line.size for line in self.lines)

    @property
    def left(self) -> int:
        """What remains; negative when it does not fit."""
        return self.total - self.asked

    @property
    def fits(self) -> bool:
        """Whether all of it can be used at the same time."""
        return self.left >= 0

    def __str__(self) -> str:
        rows = [(line.name, show_bytes(line.size), line.note) for line in self.lines]
        rows += [("asked", show_bytes(self.asked), ""), (self.whole, show_bytes(self.total), "")]
        rows.append(("left", show_bytes(self.left), "") if self.fits else ("missing", show_bytes(-self.left), ""))
        wide = max(len(name) for name, _, _ in rows)
        figures = max(len(size) for _, size, _ in rows)
        return "\n".join(f"{name:<{wide}}  {size:>{figures}}  {note}".rstrip() for name, size, note in rows)
