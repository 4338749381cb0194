"""`havre ports` and `havre budget`: what the server holds, before an app asks for more."""

from __future__ import annotations

import click

from havre.cli.options import Chosen, app_options, json_option
from havre.cli.session import open_state
from havre.cli.show import say, show_json, show_table
from havre.model.units import show_bytes
from havre.workflows.ledger import budget, list_ports, server_now
from havre.workflows.settings import read_settings


@click.command("ports")
@json_option
@app_options
def ports_command(chosen: Chosen, as_json: bool) -> None:
    """List every port of this server: which app it belongs to, and which program listens there.

    \b
    Example:
      havre ports
    """
    lines = list_ports(server_now(open_state(chosen)))
    if as_json:
        show_json({"ports": lines})
        return
    rows = [
        (f"{line.port}/{line.protocol}", line.address, line.instance or "-", _who(line.listener, line.detail))
        for line in lines
    ]
    show_table(("PORT", "ADDRESS", "APP", "LISTENS"), rows)


@click.command("budget")
@json_option
@app_options
def budget_command(chosen: Chosen, as_json: bool) -> int:
    """Show the memory that all apps of this server may use beside what it has.

    The exit code is 3 when it does not fit.

    \b
    Example:
      havre budget
    """
    state = open_state(chosen)
    facts = server_now(state)
    table = budget(facts, reserve=read_settings(state.directory).reserve)
    if as_json:
        show_json({"total": table.total, "asked": table.asked, "left": table.left, "lines": table.lines})
    else:
        say(str(table))
        say(f"in use now: {show_bytes(facts.memory_total - facts.memory_available)}", colour="cyan")
    return 0 if table.fits else 3


def _who(listener: str, detail: str) -> str:
    return "; ".join(part for part in (listener or "nobody listens", detail) if part)
