"""`havre logs`: several services at once, in order of time, filtered by level when the lines are JSON."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import click
import msgspec

from havre.cli.options import Chosen, app_options, json_option
from havre.cli.session import open_instance
from havre.cli.show import is_terminal
from havre.engines.base import LogLine, LogQuery
from havre.errors import InputError, Problem
from havre.host import clock
from havre.model.log_level import LEVELS, level_of
from havre.model.observed import ObservedReplica

COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_green")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.command("logs")
@click.argument("services", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until Ctrl-C.")
@click.option("--since", metavar="WHEN", help="Only from then on: 30s, 10m, 2h, 1d, or 2026-01-31T10:00:00.")
@click.option("--until", metavar="WHEN", help="Only until then, same forms.")
@click.option(
    "-n", "--tail", type=int, metavar="N", help="The last N lines of each replica [default: 100 with no --since]."
)
@click.option(
    "--level",
    type=click.Choice(LEVELS, case_sensitive=False),
    help="At least this level (JSON logs, or a level word in the line).",
)
@click.option("--grep", metavar="REGEX", help="Only lines that match.")
@click.option("--failed", is_flag=True, help="Replicas that failed in a release and were kept.")
@click.option("--no-time", is_flag=True, help="Leave out the time.")
@json_option
@app_options
def logs_command(
    chosen: Chosen,
    services: tuple[str, ...],
    follow: bool,
    since: str | None,
    until: str | None,
    tail: int | None,
    level: str | None,
    grep: str | None,
    failed: bool,
    no_time: bool,
    as_json: bool,
) -> None:
    """Show logs of the SERVICES named, or of all of them, in order of time.

    \b
    Examples:
      havre logs -f backend frontend
      havre logs --level error --since 1h
      havre logs --failed backend      what a replica said before its release was refused
    """
    server, instance = open_instance(chosen)
    pattern = _pattern(grep)
    _refuse_unknown(services, server.engine.observe(instance).replicas)
    query = LogQuery(
        services=services,
        follow=follow,
        since=None if since is None else moment(since, clock.now()),
        until=None if until is None else moment(until, clock.now()),
        tail=tail if tail is not None or since is not None else 100,
        failed=failed,
    )
    colours: dict[str, str] = {}
    for line in _wanted(server.engine.logs(instance, query), level, pattern):
        colour = colours.setdefault(line.service, COLOURS[len(colours) % len(COLOURS)])
        click.echo(_as_json(line) if as_json else _as_text(line, colour, timed=not no_time))
        if follow:
            sys.stdout.flush()


def moment(text: str, now: float) -> float:
    """`10m` (ago) or an ISO date and time as seconds since the epoch; raises InputError for anything else."""
    ago = re.fullmatch(r"(\d+)([smhd])", text)
    if ago:
        return now - int(ago[1]) * UNITS[ago[2]]
    at = clock.parse_time(text)
    if at is None:
        raise InputError(
            Problem(summary=f"`{text}` is not a time", hint="write 30s, 10m, 2h, 1d, or 2026-01-31T10:00:00")
        )
    return at


def _pattern(grep: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(grep) if grep else None
    except re.error as error:
        raise InputError(
            Problem(
                summary=f"`{grep}` is not a regular expression",
                evidence=(str(error),),
                hint="write a backslash before each of . * + ? ( ) [ that is meant as itself",
                code="logs-pattern",
            )
        ) from error


def _refuse_unknown(services: Sequence[str], replicas: Sequence[ObservedReplica]) -> None:
    """A misspelt name would show nothing, which reads as silence of the service."""
    known = list(dict.fromkeys(replica.service for replica in replicas))
    problems = []
    for name in services:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            problems.append(
                Problem(
                    summary=f"there is no replica of a service `{name}`",
                    evidence=(f"services: {', '.join(known) or 'none'}",),
                    hint=f"did you mean `{close[0]}`?" if close else "see `havre ps`; deploy it first if it is missing",
                    code="service-unknown",
                )
            )
    if problems:
        raise InputError(problems)


def _wanted(lines: Iterator[LogLine], level: str | None, pattern: re.Pattern[str] | None) -> Iterator[LogLine]:
    least = LEVELS.index(level.lower()) if level else None
    for line in lines:
        if least is not None:
            stated = level_of(line.text)
            if stated not in LEVELS or LEVELS.index(stated) < least:
                continue
        if pattern and not pattern.search(line.text):
            continue
        yield line


def _as_text(line: LogLine, colour: str, *, timed: bool) -> str:
    at = f"{clock.show_time(line.at)[5:]} " if timed and line.at else ""
    name = f"{line.service}.{line.slot}"
    styled = click.style(name, fg=colour) if is_terminal() else name
    return f"{at}{styled} | {line.text}"


def _as_json(line: LogLine) -> str:
    return msgspec.json.encode(line).decode()
