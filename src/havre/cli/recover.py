"""`havre recover`."""

from __future__ import annotations

import click

from havre.cli.options import Chosen, app_options, json_option, wait_option
from havre.cli.progress import Progress
from havre.cli.session import open_instance
from havre.cli.show import is_terminal, say, show_json
from havre.model.release import Release
from havre.workflows.recover import recover
from havre.workflows.server import Server


@click.command("recover")
@wait_option
@json_option
@app_options
def recover_command(chosen: Chosen, wait: float, as_json: bool) -> None:
    """Settle a release whose process was killed: finish it when its traffic had moved, undo it otherwise. An edge
    that was killed is started again with the routes it had.

    Every deploy does this first by itself; this command does only this. A server that was lost is brought back from its
    backups by `havre recover-server`.

    \b
    Example:
      havre recover
    """
    server, instance = open_instance(chosen)
    release = settle_first(server, instance, wait=wait, quiet=as_json)
    if as_json:
        show_json({"instance": instance, "release": release})
    elif release is None:
        say(f"{instance}: no interrupted release; nothing to do")


def settle_first(server: Server, instance: str, *, wait: float = 0.0, quiet: bool = False) -> Release | None:
    """Settle an interrupted release, so that what comes next is planned from a whole one; None when there is none.

    An edge that was killed is brought back first, with the routes it had.
    """
    if server.traffic.read(instance) is not None:
        server.traffic.ensure_running()
    with Progress(live=is_terminal() and not quiet) as progress:
        release = recover(server, instance, witnesses=[] if quiet else [progress], wait=wait)
    if release is not None and not quiet:
        say(f"{instance}: release {release.number} is settled: {release.state.value}; {release.result}")
    return release
