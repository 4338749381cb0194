"""`havre ports` and `havre budget`: what the server holds, before an app asks for more."""

from __future__ import annotations

import click

from havre.checks.admission import Admission
from havre.checks.disk import log_needs
from havre.cli.options import Chosen, app_options, json_option
from havre.cli.server import app_if_any
from havre.cli.session import engines_here, load, open_server, open_state
from havre.cli.show import say, show_json, show_table
from havre.model.server import DiskNeed
from havre.model.units import show_bytes
from havre.workflows.disk_needs import disk_needs, next_backups
from havre.workflows.ledger import disk_budgets, list_ports, memory_budget, places_of_data, server_now
from havre.workflows.release_work import look
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
    """Show the memory that all apps of this server may use beside what it has, and for each disk what may still
    come to it: logs by their limits, the next backups, and, where a havre.yaml is, the images and builds of the next
    release.

    The exit code is 3 when something does not fit.

    \b
    Examples:
      havre budget
      havre budget --json
    """
    state = open_state(chosen)
    instance, needs = _next_release(chosen)
    others = [known.instance for known in state.instances.list() if known.instance != instance]
    needs += tuple(need for other in others for need in next_backups(state, other))
    facts = server_now(state, places_of_data(state, engines_here(state), needs))
    memory = memory_budget(facts, reserve=read_settings(state.directory).reserve)
    disks = disk_budgets(facts, needs, instance=instance)
    if as_json:
        show_json({**_as_dict(memory), "disks": [{"path": disk.path, **_as_dict(table)} for disk, table in disks]})
    else:
        say("memory", bold=True)
        say(str(memory))
        say(f"in use now: {show_bytes(facts.memory_total - facts.memory_available)}", colour="cyan")
        for disk, table in disks:
            say(f"disk {disk.path} ({disk.purposes})", bold=True)
            say(str(table))
    return 0 if memory.fits and all(table.fits for _, table in disks) else 3


def _next_release(chosen: Chosen) -> tuple[str, tuple[DiskNeed, ...]]:
    """(the instance of this directory, what a release of it would take of the disks); nothing without a manifest."""
    if app_if_any(chosen) is None:
        return "", ()
    intent = load(chosen)
    server = open_server(chosen, intent.app)
    found = disk_needs(server, intent, look(server, intent))
    return intent.app.instance, (*found, *log_needs(intent.project))


def _as_dict(table: Admission) -> dict[str, object]:
    return {"total": table.total, "asked": table.asked, "left": table.left, "lines": table.lines}


def _who(listener: str, detail: str) -> str:
    return "; ".join(part for part in (listener or "nobody listens", detail) if part)
