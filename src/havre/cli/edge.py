"""This server's edge with this server's settings, and the commands about it: `certs`, `edge`."""

from __future__ import annotations

import os

import click

from havre.cli.options import Chosen, app_options, json_option
from havre.cli.show import say, show_json, show_problem, show_table
from havre.edge.haproxy import Edge
from havre.edge.runner import ProcessRunner
from havre.errors import Problem
from havre.store.state import State
from havre.workflows.settings import read_settings


class ServerEdge(Edge):
    """The edge as workflows use it: certificates come with the routes."""

    def secure(self, instance: str) -> tuple[Problem, ...]:
        """Order the certificates that an app's hosts lack; what could not be had is told, nothing is undone."""
        applied = self.read(instance)
        if applied is None or applied.tls.mode != "acme":
            return ()
        from havre.edge.certificates import Certificates

        return Certificates(self).renew(instance).problems


def edge_for(state: State) -> ServerEdge:
    """The one edge of this server."""
    settings = read_settings(state.directory).edge(is_root=os.geteuid() == 0)
    return ServerEdge(state.edge, ProcessRunner(), settings)


@click.command("certs")
@click.option("--renew", is_flag=True, help="Renew what is due now (run it daily).")
@click.option("--force", is_flag=True, help="Renew everything, due or not.")
@json_option
@app_options
def certs_command(chosen: Chosen, renew: bool, force: bool, as_json: bool) -> int:
    """List the certificates of all apps on this server: hosts, days left, who issued them, what went wrong.

    \b
    Examples:
      havre certs
      havre certs --renew      orders what ends within 30 days; failures are retried with growing pauses
    """
    from havre.cli.session import open_state
    from havre.edge.certificates import Certificates

    certificates = Certificates(edge_for(open_state(chosen)))
    failed = False
    if renew or force:
        report = certificates.renew(force=force)
        failed = bool(report.problems)
        for problem in report.problems:
            show_problem(problem)
        if not as_json:
            say(f"renewed: {', '.join(report.renewed) or 'none was due'}")
    found = certificates.listed()
    if as_json:
        show_json(found)
    elif not found:
        say("no app on this server needs a certificate")
    else:
        rows = [
            (", ".join(c.hosts), c.instance, c.kind, _left(c.days_left), c.problem or c.issuer or "-") for c in found
        ]
        show_table(("HOSTS", "APP", "KIND", "DAYS LEFT", "ISSUER OR PROBLEM"), rows)
    return 1 if failed else 0


@click.command("edge")
@click.argument("action", type=click.Choice(["status", "restart", "stop"]), default="status")
@json_option
@app_options
def edge_command(chosen: Chosen, action: str, as_json: bool) -> None:
    """Show, restart or stop the proxy that leads traffic to all apps of this server.

    A restart brings back exactly the routes that were applied; open connections break.

    \b
    Examples:
      havre edge
      havre edge restart
    """
    from havre.cli.session import open_state

    edge = edge_for(open_state(chosen))
    if action == "stop":
        edge.stop()
    elif action == "restart":
        edge.stop()
        edge.restore()
    address, http, https = edge.entrance()
    status = {"running": edge.is_running(), "address": address, "http_port": http, "https_port": https}
    if as_json:
        show_json(status)
    else:
        running = "runs" if status["running"] else "does not run"
        tls = f"https {address}:{https}" if https else "TLS ends elsewhere"
        say(f"the edge {running}: http {address}:{http}, {tls}")


def _left(days: float | None) -> str:
    return "missing" if days is None else f"{days:.0f}"
