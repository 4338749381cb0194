"""Text for people: problems, tables and plans at any width, coloured only on a terminal."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from shutil import get_terminal_size

import click
import msgspec

from havre.errors import HavreError, Problem, Severity

_NAMED = 6
"""Subjects that are named where a problem is told of many."""

COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


def width() -> int:
    """Columns to write in: the terminal's, 80 when there is none, never under 40."""
    return max(40, get_terminal_size((80, 24)).columns)


def height() -> int:
    """Lines of the terminal, 24 when there is none."""
    return get_terminal_size((80, 24)).lines


def say(text: str = "", *, bold: bool = False, colour: str | None = None, error: bool = False) -> None:
    """Print one piece of text; colours are dropped by click where the stream is not a terminal."""
    click.echo(click.style(text, bold=bold or None, fg=colour), err=error)


def show_problem(problem: Problem, *, error: bool = True) -> None:
    """A problem as people read it: what and where first, then how we know, what follows, and what to do."""
    label = click.style(problem.severity.value, fg=COLOURS[problem.severity], bold=True)
    text = f"{problem.headline} [{problem.code}]" if problem.code else problem.headline
    first, *rest = _wrap(text, first=len(problem.severity.value) + 2, rest=2)
    click.echo("\n".join([f"{label}: {first}", *rest]), err=error)
    for line in problem.evidence:
        click.echo("\n".join(_indent(line, "    | ")), err=error)
    if problem.effect:
        click.echo("\n".join(_indent(problem.effect, "    effect: ", "            ")), err=error)
    hint = "\n".join(_indent(problem.hint, "    hint: ", "          "))
    click.echo(click.style(hint, fg="green"), err=error)


def show_problems(problems: Iterable[Problem], *, error: bool = True) -> None:
    """Each as `show_problem` does; what is the same of several services is told once."""
    for problem in alike_once(problems):
        show_problem(problem, error=error)


def alike_once(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Problems that say the same of several subjects become one that names them all, with a line for each."""
    groups: dict[object, list[Problem]] = {}
    for problem in problems:
        key = (problem.code, problem.severity, problem.summary, problem.effect, problem.hint)
        groups.setdefault(key, []).append(problem)
    return tuple(_one_of(group) for group in groups.values())


def _one_of(group: Sequence[Problem]) -> Problem:
    subjects = list(dict.fromkeys(problem.subject for problem in group if problem.subject))
    if len(subjects) < 2:
        return group[0] if len(set(group)) == 1 else _with_lines(group[0], group)
    shown = ", ".join(subjects[:_NAMED]) + (f" and {len(subjects) - _NAMED} more" if len(subjects) > _NAMED else "")
    return _with_lines(replace(group[0], subject=shown), group)


def _with_lines(problem: Problem, group: Sequence[Problem]) -> Problem:
    """For each of the group where it is, and what is known of it alone; what is known of all is said once."""
    common = [line for line in problem.evidence if all(line in one.evidence for one in group)]
    own = ((one, [line for line in one.evidence if line not in common]) for one in group)
    known = ((one.subject, [*([str(one.at)] if one.at else []), *lines]) for one, lines in own)
    lines = (f"{subject}: {'; '.join(words)}" if subject else "; ".join(words) for subject, words in known if words)
    return replace(problem, at=None, evidence=(*common, *lines))


def show_error(error: HavreError) -> None:
    """Every problem of an error, then how many there are when that is more than a few."""
    show_problems(error.problems)
    if len(error.problems) > 3:
        say(f"{len(error.problems)} problems", bold=True, error=True)


def show_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their content; the last one is wrapped below itself when the screen is narrow."""
    lines = [tuple(row) for row in rows]
    widths = [max(len(row[i]) for row in [tuple(headers), *lines]) for i in range(len(headers))]
    say(_row(headers, widths).rstrip(), bold=True)
    left = sum(widths[:-1]) + 2 * (len(widths) - 1)
    room = width() - left
    for row in lines:
        if len(row[-1]) <= room or room < 12:
            click.echo(_row(row, widths).rstrip())
            continue
        first, *rest = textwrap.wrap(row[-1], room, break_long_words=False, break_on_hyphens=False) or [""]
        click.echo(_row([*row[:-1], first], widths).rstrip())
        for line in rest:
            click.echo(" " * left + line)


def show_json(value: object) -> None:
    """One JSON document, indented, on standard output."""
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=_to_json), indent=2).decode())


def wrapped(text: str, *, indent: str = "", hang: str | None = None) -> str:
    """`text` within the screen's width, later lines indented by `hang`."""
    return "\n".join(_indent(text, indent, indent if hang is None else hang))


def is_terminal() -> bool:
    """True when a person watches standard output."""
    return sys.stdout.isatty()


def problem_as_dict(problem: Problem) -> dict[str, object]:
    """A problem for `--json`."""
    return {**asdict(problem), "severity": problem.severity.value, "at": str(problem.at) if problem.at else None}


def _to_json(value: object) -> object:
    if isinstance(value, Problem):
        return problem_as_dict(value)
    return str(value)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(size) for cell, size in zip(cells, widths, strict=True))


def _wrap(text: str, *, first: int, rest: int) -> list[str]:
    lines = textwrap.wrap(
        " " * first + text,
        width(),
        subsequent_indent=" " * rest,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
    return [lines[0][first:], *lines[1:]] if lines else [""]


def _indent(text: str, first: str, rest: str | None = None) -> list[str]:
    lines = textwrap.wrap(
        text,
        width(),
        initial_indent=first,
        subsequent_indent=first if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [first.rstrip()]
