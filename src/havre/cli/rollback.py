"""`havre rollback`."""

from __future__ import annotations

import click

from havre.cli.deploy import release_as_proposed
from havre.cli.options import Chosen, app_options, json_option, wait_option, yes_option
from havre.cli.recover import settle_first
from havre.cli.session import load_app, open_server
from havre.cli.show import say
from havre.workflows.rollback import propose_rollback


@click.command("rollback")
@click.argument("number", type=int, required=False)
@click.option("--undo", is_flag=True, help="Take the schema back first, with `release.migrate.undo`.")
@yes_option
@wait_option
@json_option
@app_options
def rollback_command(chosen: Chosen, number: int | None, undo: bool, yes: bool, wait: float, as_json: bool) -> None:
    """Go back to release NUMBER, or to the one that served before this one.

    Its images, its configuration and its environment come back as they were, by the same road as a deploy:
    started beside, proven, switched in one step. Databases are not touched: when the schema has moved since,
    the plan says so, and names the snapshot from before. With --undo the schema goes back first: a snapshot, then
    the undo command in the image that serves now, as often as it takes to reach the revision of that release.

    \b
    Examples:
      havre rollback
      havre rollback 12 -y
      havre rollback --undo     the schema too
    """
    app = load_app(chosen)
    server, instance = open_server(chosen, app), app.instance
    settle_first(server, instance, wait=wait, quiet=as_json)
    proposal = propose_rollback(server, instance, number, undo=undo, today=app.migration)
    if not as_json:
        say(f"back to release {proposal.choices.rolled_back_to}", bold=True)
    release_as_proposed(server, proposal, ask="Go back on", yes=yes, wait=wait, as_json=as_json)
