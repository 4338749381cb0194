"""`havre down`."""

from __future__ import annotations

import click

from havre.cli.deploy import confirm, show_plan
from havre.cli.options import Chosen, app_options, json_option, wait_option, yes_option
from havre.cli.progress import Progress
from havre.cli.session import open_instance
from havre.cli.show import is_terminal, say, show_json
from havre.workflows.down import propose_down, take_down


@click.command("down")
@click.option("--volumes", is_flag=True, help="Also remove the app's volumes with all their data, and its images.")
@click.option("--confirm", "typed", metavar="NAME", help="The app's name: needed with --volumes where nobody asks.")
@yes_option
@wait_option
@json_option
@app_options
def down_command(chosen: Chosen, volumes: bool, typed: str | None, yes: bool, wait: float, as_json: bool) -> None:
    """Stop and remove the app: its routes, its replicas, its networks. Its volumes stay, with their data,
    unless --volumes is given and the app's name is typed.

    \b
    Examples:
      havre down
      havre down --volumes
    """
    server, instance = open_instance(chosen)
    plan = propose_down(server, instance, every_volume=volumes)
    if not as_json:
        show_plan(instance, plan, nothing="nothing runs")
    if not plan.is_empty:
        if volumes:
            _type_the_name(instance, typed)
        else:
            confirm(server, yes=yes, what=f"Take {instance} down on {server.machine}?")
    with Progress(live=is_terminal() and not as_json) as progress:
        done = take_down(server, instance, every_volume=volumes, witnesses=[] if as_json else [progress], wait=wait)
    if as_json:
        show_json({"instance": instance, "steps": [str(step) for step in done.steps]})
    else:
        say(f"{instance} is down", bold=True)


def _type_the_name(instance: str, typed: str | None) -> None:
    """Data goes for good, so a `y` is not enough."""
    if typed is None and is_terminal():
        typed = click.prompt(
            f"All data of {instance} will be gone. Type its name to go on", default="", show_default=False
        )
    if typed != instance:
        raise click.UsageError(f"the volumes of {instance} were not removed: type its name (--confirm {instance})")
