"""`havre drill`."""

from __future__ import annotations

import click

from havre.cli.backup import open_storage
from havre.cli.options import Chosen, app_options, json_option
from havre.cli.show import say, show_json
from havre.model.units import show_seconds
from havre.workflows.drill import drill, refuse_failed


@click.group("drill")
def drill_command() -> None:
    """Prove what is promised, on a schedule or now.

    \b
    Example:
      havre drill restore
    """


@drill_command.command("restore")
@click.argument("services", nargs=-1)
@json_option
@app_options
def restore_drill_command(chosen: Chosen, services: tuple[str, ...], as_json: bool) -> None:
    """Restore the newest snapshot of each service into a throw-away replica, compare, ask, and measure.

    Rows and keys are compared with what the snapshot held, and every assertion in havre.yaml must hold. A database
    with `pitr` is restored a second time, from its newest base backup and log. The report is kept (`havre backup
    status` shows it); exit code 1 when a drill failed.

    \b
    Examples:
      havre drill restore
      havre drill restore db --json
    """
    storage, intent = open_storage(chosen)
    reports = drill(storage, intent, services, progress=(lambda _: None) if as_json else say)
    if as_json:
        show_json(reports)
    else:
        for report in reports:
            if report.passed:
                took = f"{show_seconds(report.rto)} to restore (RTO), {show_seconds(report.rpo)} old (RPO)"
                say(f"{report.service}: {report.snapshot} passed, {took}", bold=True, colour="green")
                for line in report.lines:
                    say(f"  {line}")
    refuse_failed(reports)
