"""`havre recover`."""

from __future__ import annotations

import click

from havre.cli.options import Chosen, app_options, json_option, wait_option
from havre.cli.progress import Progress
from havre.cli.session import open_instance
from havre.cli.show import is_terminal, say, show_json
from havre.workflows.recover import recover


@click.command("recover")
@wait_option
@json_option
@app_options
def recover_command(chosen: Chosen, wait: float, as_json: bool) -> None:
    """Settle a release whose process was killed: finish it when its traffic had moved, undo it otherwise.

    Every deploy does this first by itself; this command does only this.

    \b
    Example:
      havre recover
    """
    server, instance = open_instance(chosen)
    with Progress(live=is_terminal() and not as_json) as progress:
        release = recover(server, instance, witnesses=[] if as_json else [progress], wait=wait)
    if as_json:
        show_json({"instance": instance, "release": release})
    elif release is None:
        say(f"{instance}: no interrupted release; nothing to do")
    else:
        say(f"{instance}: release {release.number} is settled: {release.state.value}; {release.result}")
