"""`havre top`: who uses this server's CPU and memory now."""

from __future__ import annotations

from typing import Literal

import click

from havre.cli.options import Chosen, app_options, json_option
from havre.cli.session import open_servers
from havre.cli.show import say, show_json, show_table
from havre.model.diagnosis import Busy
from havre.model.units import show_bytes
from havre.workflows.circumstances import machine_load
from havre.workflows.ledger import server_now

By = Literal["cpu", "memory"]


@click.command("top")
@click.option("--by", type=click.Choice(["cpu", "memory"]), default="cpu", show_default=True, help="What is ranked.")
@click.option("--all", "everything", is_flag=True, help="Everything, not only the first 15.")
@json_option
@app_options
def top_command(chosen: Chosen, by: By, everything: bool, as_json: bool) -> None:
    """Rank who uses this server's CPU (measured for half a second) and memory: the replicas of every app, other
    containers, and programs outside of any container (`-`).

    \b
    Examples:
      havre top
      havre top --by memory --all
      havre top --json
    """
    servers = open_servers(chosen)
    load, facts = machine_load(servers), server_now(servers[0].state)
    ranked = sorted(load.busiest, key=lambda one: -(one.cpu if by == "cpu" else one.memory))
    if as_json:
        show_json({"idle": round(load.idle, 3), "cpus": facts.cpus, "busiest": ranked})
        return
    memory = f"{show_bytes(facts.memory_total - facts.memory_available)} of {show_bytes(facts.memory_total)}"
    say(f"{facts.cpus} CPUs, {1 - load.idle:.0%} used; memory: {memory}", bold=True)
    show_table(("CPU", "MEMORY", "APP", "WHAT"), [_row(one) for one in (ranked if everything else ranked[:15])])


def _row(one: Busy) -> tuple[str, str, str, str]:
    return (f"{one.cpu:.0f} %", show_bytes(one.memory), one.instance or "-", one.name)
