"""`havre audit`: who did what on this server."""

from __future__ import annotations

import click

from havre.cli.options import Chosen, app_options, json_option
from havre.cli.session import load_app, open_state
from havre.cli.show import say, show_json, show_table
from havre.host import clock


@click.command("audit")
@click.option("--all", "everything", is_flag=True, help="All apps of this server, not only this one.")
@click.option("-n", "--limit", type=int, default=50, metavar="N", help="How many lines [default: 50].")
@json_option
@app_options
def audit_command(chosen: Chosen, everything: bool, limit: int, as_json: bool) -> None:
    """Show who released, rolled back, stopped or removed what, and how it ended; newest first.

    \b
    Examples:
      havre audit
      havre audit --all --json
    """
    instance = None if everything else load_app(chosen).instance
    lines = open_state(chosen).instances.audit(instance=instance, limit=limit)
    if as_json:
        show_json(lines)
    elif not lines:
        say("nothing was done yet")
    else:
        rows = [(clock.show_time(line.at), line.by, line.instance, line.outcome, line.action) for line in lines]
        show_table(("WHEN", "WHO", "APP", "OUTCOME", "WHAT"), rows)
