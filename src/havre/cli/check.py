"""`havre check`: everything that can be known to be wrong before anything is touched."""

from __future__ import annotations

import click

from havre.checks.registry import ALL
from havre.cli.options import Chosen, app_options, json_option
from havre.cli.session import load, open_server
from havre.cli.show import problem_as_dict, say, show_json, show_problems, show_table, wrapped
from havre.compose.keys import Kind
from havre.compose.report import Report as ComposeReport
from havre.compose.report import show_places
from havre.workflows.check import report, treatment_of_keys
from havre.workflows.release_work import look


@click.command("check")
@click.option("--compose", "keys", is_flag=True, help="Also list every Compose key used and how it is treated.")
@click.option("--list", "list_checks", is_flag=True, help="Only list the checks and what they look for.")
@json_option
@app_options
def check_command(chosen: Chosen, keys: bool, list_checks: bool, as_json: bool) -> int:
    """Look for everything that would go wrong, and touch nothing: variables, health checks, ports, memory,
    mounts, secrets, builds, routes, and the keys of the Compose file.

    The exit code is 3 when a deploy would be refused, 0 otherwise.

    \b
    Examples:
      havre check
      havre check --compose     how every key of the Compose file is treated
      havre check --list
    """
    if list_checks:
        show_table(("CHECK", "SEVERITY", "LOOKS FOR"), [(c.id, c.severity.value, c.title) for c in ALL])
        return 0
    intent = load(chosen)
    server = open_server(chosen, intent.app)
    found = report(server, intent, look(server, intent))
    treatment = treatment_of_keys(server, intent)
    problems = (*intent.warnings, *treatment.problems, *treatment.notes, *found.problems)
    if as_json:
        show_json({"problems": [problem_as_dict(p) for p in problems], "waived": [str(w) for w in found.waived]})
    else:
        show_problems(problems, error=False)
        for waived in found.waived:
            say(wrapped(str(waived), hang="    "), colour="cyan")
        _show_treatment(treatment, every=keys)
        errors = len(found.errors) + len(treatment.problems)
        counts = f"{_count(errors, 'error')}, {_count(len(problems) - errors, 'warning')}"
        say(f"{intent.app.instance}: {len(found.ran)} checks, {counts}", bold=True)
    return 3 if found.errors or treatment.problems else 0


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _show_treatment(treatment: ComposeReport, *, every: bool) -> None:
    """Keys that are changed are always told (nothing is silently different); the others when asked."""
    for kind in Kind:
        uses = treatment.of(kind)
        if not uses:
            continue
        if kind is not Kind.CHANGED and not every:
            say(f"Compose keys {kind.value}: {len(uses)}")
            continue
        say(f"Compose keys {kind.value}: {len(uses)}", bold=True)
        for use in uses:
            say(wrapped(f"{use.key}  {show_places(use.places)}", indent="  ", hang="      "))
            if use.treatment.why:
                say(wrapped(use.treatment.why, indent="      "))
