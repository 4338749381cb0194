"""`havre export`: what others take over from here, as text or as an archive on standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from havre.cli.edge import edge_for
from havre.cli.options import Chosen, app_options
from havre.cli.session import load_app, open_server, open_state
from havre.cli.show import say, show_problem
from havre.errors import InputError, Problem, Severity
from havre.model.app import App
from havre.model.route import EdgeSettings

log_option = click.option("--log", metavar="FILE", help="Append what is said to FILE [default: the system's log].")


@click.group("export")
def export_command() -> None:
    """Print what others take over from here: the vhost for a Caddy or nginx that owns ports 80 and 443 of this
    server and passes visitors on, the timers for what havre.yaml schedules, or a release's images for another server.

    For a vhost write `https_port: 0`, a free `http_port` and the proxy's address in `trusted_proxies` into
    server.yaml.

    \b
    Examples:
      havre export caddy > /etc/caddy/conf.d/lexikon.caddy
      havre export nginx > /etc/nginx/conf.d/lexikon.conf
      havre export cron --log /var/log/backup.log > /etc/cron.d/havre-lexikon
      havre export systemd --to /etc/systemd/system
      havre export release -e staging > staging.tar
    """


@export_command.command("caddy")
@app_options
def caddy_command(chosen: Chosen) -> None:
    """Print the site for a Caddy in front of the edge."""
    _print_vhost(chosen, "caddy")


@export_command.command("nginx")
@app_options
def nginx_command(chosen: Chosen) -> None:
    """Print the server blocks for an nginx in front of the edge."""
    _print_vhost(chosen, "nginx")


@export_command.command("systemd")
@click.option("--to", "target", type=click.Path(file_okay=False, path_type=Path), help="Write the units here.")
@log_option
@app_options
def systemd_command(chosen: Chosen, target: Path | None, log: str | None) -> None:
    """Print a service and a timer for each schedule and drill, for the alarm, the repositories and the certificates.

    \b
    Example:
      havre export systemd --to /etc/systemd/system
    """
    from havre.cli.timers import export_timers

    export_timers(chosen, load_app(chosen), "systemd", target=target, log=log)


@export_command.command("cron")
@log_option
@app_options
def cron_command(chosen: Chosen, log: str | None) -> None:
    """Print lines for /etc/cron.d: every schedule and drill, the alarm, the repositories and the certificates.

    They run from any directory with the options given here, and with the app's own secrets.

    \b
    Example:
      havre export cron --log /var/log/backup.log > /etc/cron.d/havre-lexikon
    """
    from havre.cli.timers import export_timers

    export_timers(chosen, load_app(chosen), "cron", log=log)


@export_command.command("release")
@click.option("--instance", metavar="NAME", help="The instance, where its havre.yaml is not at hand: shop-staging.")
@click.option("--release", "number", type=int, metavar="N", help="Which release [default: the one that serves].")
@click.option("--all", "every", is_flag=True, help="Also images that a registry has.")
@click.option("--skip", multiple=True, metavar="ID", help="Leave out this image, which the other server has.")
@app_options
def release_command(
    chosen: Chosen, instance: str | None, number: int | None, every: bool, skip: tuple[str, ...]
) -> None:
    """Write the images of a release, as an archive that `havre promote --from` reads on another server.

    Images that a registry has are not in it: the other server fetches them by their digest.

    \b
    Examples:
      havre export release -e staging > staging.tar
      ssh HOST havre export release --instance shop-staging | havre promote staging --from - -y
    """
    from havre.workflows.promote import release_to_promote
    from havre.workflows.transfer import export_release

    if sys.stdout.isatty():
        raise click.UsageError("this is an archive, not text: send it to a file or through a pipe")
    app = App(name=instance) if instance else load_app(chosen)
    server = open_server(chosen, app)
    release = release_to_promote(server, app.instance, number)
    written = export_release(server, release, sys.stdout.buffer, every=every, skip=skip)
    say(f"release {release.number} of {release.instance}: {len(written)} images written", error=True)


def _print_vhost(chosen: Chosen, kind: str) -> None:
    from havre.edge.front_proxy import Front, caddyfile, nginx_conf
    from havre.model.route import AppEdge

    app = load_app(chosen)
    if not app.routes:
        raise InputError(_no_routes(app))
    state = open_state(chosen)
    server_edge = edge_for(state)
    address, port, _ = server_edge.entrance()
    if missing := list(_not_behind(server_edge.settings)):
        show_problem(_stands_in_front(kind, missing, state.directory))
    edge = AppEdge(instance=app.instance, routes=app.routes)
    front = Front(edge=f"{address}:{port}", proxies=server_edge.settings.trusted_proxies)
    click.echo(caddyfile(edge, front) if kind == "caddy" else nginx_conf(edge, front), nl=False)


def _not_behind(settings: EdgeSettings) -> Iterator[str]:
    """What keeps the edge from standing behind another proxy, as server.yaml has it."""
    if settings.http_port in (80, 443):
        yield f"http_port is {settings.http_port}, which the proxy in front needs"
    if settings.https_port is not None:
        yield f"https_port is {settings.https_port}: the edge ends TLS itself, and sends to https what comes without"
    if not settings.trusted_proxies:
        yield "trusted_proxies is empty: every visitor would have the proxy's address"


def _stands_in_front(kind: str, missing: Sequence[str], directory: Path) -> Problem:
    fitting = "`{http_port: 8080, https_port: 0, trusted_proxies: [127.0.0.1]}`"
    return Problem(
        summary=f"the edge is not set up to stand behind {kind}",
        evidence=tuple(missing),
        effect="this vhost would lead in circles, or hide who the visitors are",
        hint=f"write {fitting} into {directory / 'server.yaml'}, `havre edge restart`, and export it again",
        code="edge-in-front",
        severity=Severity.WARNING,
    )


def _no_routes(app: App) -> Problem:
    return Problem(
        summary="there is no route to export",
        subject=app.instance,
        hint="write `routes:` into havre.yaml first",
        code="no-routes",
    )
