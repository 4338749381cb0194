"""`havre ps`: what runs now."""

from __future__ import annotations

import click

from havre.cli.options import Chosen, app_options, json_option
from havre.cli.session import open_instance
from havre.cli.show import say, show_json, show_table
from havre.host import clock
from havre.model.units import show_bytes, show_seconds
from havre.workflows.status import ReplicaStatus, Status, look


@click.command("ps")
@click.option("-q", "--quick", is_flag=True, help="Do not measure memory and CPU (faster).")
@json_option
@app_options
def ps_command(chosen: Chosen, quick: bool, as_json: bool) -> None:
    """Show what runs: every replica with its health, the release it belongs to, its age and what it uses.

    \b
    Examples:
      havre ps
      havre ps -e staging --json
    """
    server, instance = open_instance(chosen)
    status = look(server, instance, with_usage=not quick)
    if as_json:
        show_json(status)
        return
    show_status(status)


def show_status(status: Status) -> None:
    """A table of replicas and the routes that lead to them."""
    if status.serving is None and not status.replicas:
        say(f"{status.instance}: nothing was deployed yet. Next: havre plan")
        return
    release = f"release {status.serving.number} serves" if status.serving else "no release serves"
    say(f"{status.instance}: {release}", bold=True)
    headers = ("SERVICE", "STATE", "HEALTH", "REL", "AGE", "MEMORY", "CPU", "EDGE")
    show_table(headers, [_row(replica) for replica in status.replicas])
    for route in status.routes:
        say(f"route {route}")


def _row(replica: ReplicaStatus) -> tuple[str, ...]:
    age = show_seconds(max(0.0, clock.now() - replica.started_at)) if replica.started_at else "-"
    memory = "-" if replica.memory is None else show_bytes(replica.memory)
    if replica.memory is not None and replica.memory_limit:
        memory += f" of {show_bytes(replica.memory_limit)}"
    return (
        f"{replica.service}.{replica.slot}" + ("" if replica.role == "replica" else f" ({replica.role})"),
        replica.state,
        replica.health,
        str(replica.release or "-"),
        age,
        memory,
        "-" if replica.cpu is None else f"{replica.cpu:.0f}%",
        {True: "yes", False: "no", None: "-"}[replica.routed],
    )
