"""This server's edge with this server's settings, and the commands about it: `certs`, `edge`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from havre.cli.options import Chosen, app_options, json_option
from havre.cli.show import say, show_json, show_problem, show_table
from havre.edge.haproxy import Edge
from havre.edge.runner import ProcessRunner
from havre.errors import InputError, Problem, UnavailableError
from havre.host import clock
from havre.model.units import show_seconds
from havre.store.state import State
from havre.workflows.settings import read_settings

if TYPE_CHECKING:
    from havre.edge.certificates import Certificate

SOON = 14.0
"""Days below which a certificate is marked: renewing it, begun at thirty, has failed for a while."""


class ServerEdge(Edge):
    """The edge as workflows use it: certificates come with the routes."""

    def secure(self, instance: str) -> tuple[Problem, ...]:
        """Order the certificates that an app's hosts lack; what could not be had is told, nothing is undone."""
        applied = self.read(instance)
        if applied is None or applied.tls.mode != "acme":
            return ()
        from havre.edge.certificates import Certificates

        return Certificates(self).renew(instance=instance).problems


def edge_for(state: State) -> ServerEdge:
    """The one edge of this server."""
    settings = read_settings(state.directory).edge(is_root=os.geteuid() == 0)
    return ServerEdge(state.edge, ProcessRunner(), settings)


@click.command("certs")
@click.argument("hosts", nargs=-1)
@click.option("--renew", is_flag=True, help="Renew what is due now (run it daily).")
@click.option("--force", is_flag=True, help="Renew it due or not, self-signed ones too.")
@json_option
@app_options
def certs_command(chosen: Chosen, hosts: tuple[str, ...], renew: bool, force: bool, as_json: bool) -> int:
    """List the certificates of all apps on this server: hosts, days left, who issued them, what went wrong.

    With HOSTS only theirs are renewed. New certificates are shown at once; no connection breaks.

    \b
    Examples:
      havre certs
      havre certs --renew                   what ends within 30 days; after a
                                            failure pauses grow
      havre certs --renew --force shop.org  a new one for this host, due or not
    """
    from havre.cli.session import open_state
    from havre.edge.certificates import Certificates

    certificates = Certificates(edge_for(open_state(chosen)))
    failed = False
    _refuse_unknown(hosts, [host for one in certificates.listed() for host in one.hosts])
    if renew or force:
        report = certificates.renew(hosts, force=force)
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
        rows = [(", ".join(c.hosts), c.instance, c.kind, _left(c.days_left), _said(c)) for c in found]
        show_table(("HOSTS", "APP", "KIND", "DAYS LEFT", "ISSUER OR PROBLEM"), rows)
    return 1 if failed else 0


@click.command("edge")
@click.argument("action", type=click.Choice(["status", "restart", "stop"]), default="status")
@json_option
@app_options
def edge_command(chosen: Chosen, action: str, as_json: bool) -> int:
    """Show, restart or stop the proxy that leads traffic to all apps of this server.

    A restart brings back exactly the routes that were applied; open connections break. When it does not run,
    the proxy's own check of its configuration and its last words say why, and the exit code is 5.

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
    why = edge.why_down() if action == "status" else None
    if why is not None:
        show_problem(why)
    return UnavailableError.exit_code if why is not None else 0


def _refuse_unknown(hosts: Sequence[str], known: Sequence[str]) -> None:
    problems = []
    for host in hosts:
        if host not in known:
            close = get_close_matches(host, known, n=1)
            hint = f"did you mean `{close[0]}`?" if close else "`havre certs` lists the hosts that have or need one"
            problems.append(
                Problem(summary=f"no app here serves {host} with TLS", hint=hint, code="certs-unknown-host")
            )
    if problems:
        raise InputError(problems)


def _left(days: float | None) -> str:
    if days is None:
        return "missing"
    return "EXPIRED" if days < 0 else f"{days:.0f} (soon)" if days < SOON else f"{days:.0f}"


def _said(certificate: Certificate) -> str:
    if not certificate.problem:
        return certificate.issuer or "-"
    pause = max(0.0, certificate.next_try - clock.now())
    return f"{certificate.problem}; next try in {show_seconds(round(pause))}"
