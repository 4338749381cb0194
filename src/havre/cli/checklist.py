"""`havre checklist`: what a launch needs, judged by what the live server shows, with a place for what people know."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click
from click.core import ParameterSource

from havre.checks.launch import ITEMS, SECTIONS, Checklist, Line, State
from havre.cli.options import Chosen, app_options, json_option
from havre.cli.session import load, open_instance, open_server
from havre.cli.show import problem_as_dict, say, show_json, show_table, wrapped
from havre.host import clock
from havre.host.files import write_atomic
from havre.manifest.shapes import DATE
from havre.workflows.checklist import check_launch, choose, confirm, withdraw
from havre.workflows.settings import read_settings

MARKS = {
    State.PASSED: ("passed", "green"),
    State.CONFIRMED: ("confirmed", "green"),
    State.WAIVED: ("waived", "cyan"),
    State.FAILED: ("FAILED", "red"),
    State.PERSON: ("ask", "yellow"),
    State.UNSEEN: ("unseen", "yellow"),
    State.NOT_APPLICABLE: ("n/a", None),
}
WIDE = max(len(mark) for mark, _ in MARKS.values())


class _Day(click.ParamType):  # type: ignore[type-arg]  # generic in type stubs only
    """A day as the manifest writes it."""

    name = "date"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The day, or bad input."""
        try:
            return str(DATE.read(value))
        except ValueError as error:
            self.fail(f"{error}; write it as 2027-03-31", param, ctx)


@click.group("checklist", invoke_without_command=True)
@click.option("--only", multiple=True, metavar="ITEM", help="Only this item; repeatable.")
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write a report.")
@click.option("--no-burst", is_flag=True, help="Do not try the rate limits.")
@click.option("--list", "list_items", is_flag=True, help="Only list the items and what they look at.")
@click.option("-v", "--verbose", is_flag=True, help="Show the evidence of what passed, too.")
@json_option
@app_options
@click.pass_context
def checklist_command(
    context: click.Context, chosen: Chosen, only: tuple[str, ...], page: Path | None, no_burst: bool, list_items: bool,
    verbose: bool, as_json: bool,
) -> int | None:  # fmt: skip
    """Go through everything that a launch needs, and everything that should stay so: each item is judged by what
    the live server shows now. What only people know is asked, recorded with `confirm`, and asked again in time.

    Looking changes nothing. Rate limits are tried with a few requests more than they allow, from an address that no
    visitor has. The exit code is 1 when something failed.

    \b
    Examples:
      havre checklist
      havre checklist --html launch.html            a page to hand over
      havre checklist --only dns --only certificates
      havre checklist confirm team-trained --note "Ana and Luc did a restore on 3 March"
    """
    if context.invoked_subcommand:
        _refuse_lost_options(context)
        return None
    if list_items:
        show_table(("ITEM", "LEVEL", "PASSES WHEN"), [(one.id, one.level.value, one.title) for one in ITEMS])
        return 0
    items = choose(only)
    intent = load(chosen)
    server = open_server(chosen, intent.app)
    edge = read_settings(server.state.directory).edge(is_root=os.geteuid() == 0)
    found = check_launch(server, intent, edge, items, burst=not no_burst)
    if page is not None:
        from havre.cli.checklist_page import checklist_page

        write_atomic(page, checklist_page(found, intent.app, server.machine))
    if as_json:
        show_json(_as_dict(found))
    else:
        _show(found, verbose=verbose)
        if page is not None:
            say(f"written to {page}")
    return 1 if found.failed else 0


@checklist_command.command("confirm")
@click.argument("item")
@click.option("--note", required=True, metavar="TEXT", help="The answer: who, what, when.")
@click.option("--until", type=_Day(), metavar="DATE", help="The last day it counts [default: by the item].")
@app_options
def confirm_command(chosen: Chosen, item: str, note: str, until: str | None) -> None:
    """Record the answer to what only a person can say.

    It is kept with your name, in the audit log too, and asked for again when it ends.

    \b
    Examples:
      havre checklist confirm runbook --note "docs/incidents.md, tried in the drill of 3 March"
      havre checklist confirm external-monitor --note "UptimeRobot, every minute" --until 2027-06-30
    """
    server, instance = open_instance(chosen)
    said = confirm(server, instance, item, note, until)
    say(f"{said.item}: recorded, by {said.by}; it counts until {said.until}", colour="green")


@checklist_command.command("withdraw")
@click.argument("item")
@app_options
def withdraw_command(chosen: Chosen, item: str) -> None:
    """Take a recorded answer back.

    \b
    Example:
      havre checklist withdraw runbook
    """
    server, instance = open_instance(chosen)
    withdraw(server, instance, item)
    say(f"{item}: withdrawn")


def _refuse_lost_options(context: click.Context) -> None:
    """An option before the subcommand would be lost silently."""
    given = [
        parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"write {', '.join(given)} after `{context.invoked_subcommand}`")


def _show(found: Checklist, *, verbose: bool) -> None:
    lines = {line.item.id: line for line in found.lines}
    for title, items in SECTIONS:
        there = [lines[item.id] for item in items if item.id in lines]
        if there:
            say(title, bold=True)
        for line in there:
            _show_line(line, verbose=verbose)
    counts = ", ".join(f"{count} {state.value}" for state, count in found.counts())
    say(
        wrapped(
            f"{found.instance}: {len(found.lines)} item{'' if len(found.lines) == 1 else 's'}: {counts}", hang="  "
        ),
        bold=True,
    )


def _show_line(line: Line, *, verbose: bool) -> None:
    mark, colour = MARKS[line.state]
    head = f"{mark:<{WIDE}}  {line.item.title} [{line.item.id}]"
    say(wrapped(head, hang=" " * (WIDE + 2)), colour=colour)
    for text in details(line, every=verbose):
        say(wrapped(text, indent=" " * (WIDE + 2), hang=" " * (WIDE + 4)))


def details(line: Line, *, every: bool) -> Iterator[str]:
    """What people want to know of an item below its title; the evidence of what passed only when asked for."""
    if line.state in (State.PERSON, State.CONFIRMED) and line.item.asks:
        yield line.item.asks
    if line.reason and line.state is not State.CONFIRMED:
        yield line.reason
    for problem in line.problems:
        subject = f"{problem.subject}: " if problem.subject else ""
        yield f"{subject}{problem.summary}"
        yield from (f"| {text}" for text in problem.evidence)
        if problem.effect:
            yield f"effect: {problem.effect}"
    if every or line.state is State.PERSON:
        yield from (f"| {text}" for text in line.evidence)
    for waived in line.waived:
        until = f" until {waived.waiver.until}" if waived.waiver.until else ""
        yield f"waived{until}: {waived.waiver.reason}"
    yield from said_lines(line)
    yield from (f"hint: {hint}" for hint in line.hints)


def said_lines(line: Line) -> Iterator[str]:
    """What a person said, and when the item was last in order."""
    said = line.confirmation
    if said is not None and line.state is State.CONFIRMED:
        yield f"{said.by}, {clock.show_time(said.at)[:10]}, until {said.until}: {said.note}"
    elif said is not None and line.state is State.PERSON:
        yield f"the last answer ended on {said.until} ({said.by}: {said.note})"
    elif line.confirmed_at is not None and line.state is not State.PASSED:
        yield f"last in order on {clock.show_time(line.confirmed_at)[:16]}"


def _as_dict(found: Checklist) -> dict[str, object]:
    return {
        "instance": found.instance,
        "at": clock.show_time(found.at),
        "passed": not found.failed,
        "counts": {state.value: count for state, count in found.counts()},
        "items": [_line_as_dict(line) for line in found.lines],
    }


def _line_as_dict(line: Line) -> dict[str, object]:
    return {
        "id": line.item.id,
        "title": line.item.title,
        "level": line.item.level.value,
        "promised_by": line.item.guides,
        "rows": line.item.promised,
        "state": line.state.value,
        "reason": line.reason,
        "evidence": line.evidence,
        "problems": [problem_as_dict(problem) for problem in line.problems],
        "waived": [str(waived) for waived in line.waived],
        "confirmation": line.confirmation,
        "last_confirmed": clock.show_time(line.confirmed_at) if line.confirmed_at else None,
        "hints": line.hints,
    }
