"""`havre networks`: which networks this server has, whose they are and who is in them."""

from __future__ import annotations

import click

from havre.cli.options import Chosen, app_options, json_option
from havre.cli.session import open_servers
from havre.cli.show import say, show_json, show_table
from havre.workflows.ledger import server_now
from havre.workflows.networks import NetworkView, list_networks, next_subnet


@click.command("networks")
@json_option
@app_options
def networks_command(chosen: Chosen, as_json: bool) -> None:
    """List the networks of this server: the app that each belongs to (`-` is not Havre's), its subnets, and the
    replicas that run in it; then a subnet that is free, for a network that needs a fixed one.

    \b
    Examples:
      havre networks
      havre networks --json
    """
    servers = open_servers(chosen)
    found = list_networks(servers)
    free = next_subnet(found, server_now(servers[0].state))
    if as_json:
        show_json({"networks": found, "free_subnet": free})
        return
    show_table(("NETWORK", "APP", "SUBNET", "INSIDE"), [_row(one) for one in found])
    if free:
        say(f"a free subnet: {free}", colour="cyan")


def _row(one: NetworkView) -> tuple[str, ...]:
    closed = " (no way out)" if one.internal else ""
    prefix = f"{one.instance}/"
    inside = (f"{replica.removeprefix(prefix)} {address}" for replica, address in one.inside)
    return one.name, one.instance or "-", f"{', '.join(one.subnets) or '-'}{closed}", ", ".join(inside) or "nobody"
