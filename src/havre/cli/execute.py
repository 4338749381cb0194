"""`havre exec` and `havre run`: a command in a running replica, or in a throw-away one."""

from __future__ import annotations

import sys
from difflib import get_close_matches

import click

from havre.cli.options import Chosen, app_options
from havre.cli.session import load, open_instance, open_server
from havre.errors import InputError, Problem
from havre.model.observed import ObservedReplica
from havre.workflows.oneoff import run_once
from havre.workflows.server import Server


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-u", "--user", metavar="USER", help="Run as this user.")
@click.option("--index", type=int, metavar="N", help="Which replica [default: the first that runs].")
@click.option("-T", "--no-tty", is_flag=True, help="No terminal: for pipes and scripts.")
@app_options
@click.argument("service")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_command(
    chosen: Chosen, service: str, command: tuple[str, ...], user: str | None, index: int | None, no_tty: bool
) -> int:
    """Run COMMAND in a running replica of SERVICE; its exit code is this command's own.

    \b
    Examples:
      havre exec backend sh
      havre exec -T postgres pg_dump -U app app > dump.sql
    """
    command = _words(command)
    server, instance = open_instance(chosen)
    replica = _running(server, instance, service, index)
    if not no_tty and sys.stdin.isatty() and sys.stdout.isatty():
        return server.engine.interactive(instance, service, replica.slot, command, user=user)
    stdin = None if sys.stdin.isatty() else sys.stdin.buffer.read()
    done = server.engine.execute(instance, service, replica.slot, command, stdin=stdin, user=user)
    click.echo(done.output, nl=False)
    return done.exit_code


@click.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "--timeout", type=float, default=3600.0, show_default=True, metavar="SECONDS", help="Stop it after this long."
)
@app_options
@click.argument("service")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def run_command(chosen: Chosen, service: str, command: tuple[str, ...], timeout: float) -> None:
    """Run COMMAND once in a new replica of SERVICE: its image, environment and networks, none of its ports.

    \b
    Examples:
      havre run backend alembic history
      havre run backend python manage.py createsuperuser
    """
    command = _words(command)
    intent = load(chosen)
    run_once(open_server(chosen, intent.app), intent, service, command, timeout=timeout, output=click.echo)


def _words(command: tuple[str, ...]) -> tuple[str, ...]:
    """Without the `--` that people write before a command that has options of its own."""
    return command[1:] if command[:1] == ("--",) else command


def _running(server: Server, instance: str, service: str, index: int | None) -> ObservedReplica:
    replicas = server.engine.observe(instance).of_service(service)
    for replica in replicas:
        if replica.is_running and index in (None, replica.slot):
            return replica
    known = sorted({replica.service for replica in server.engine.observe(instance).replicas})
    close = () if service in known else get_close_matches(service, known, n=1)
    raise InputError(
        Problem(
            summary=f"no running replica of `{service}`" + (f" in slot {index}" if index else ""),
            subject=instance,
            evidence=(f"services with replicas: {', '.join(known) or 'none'}",),
            hint=f"did you mean `{close[0]}`?" if close else "see what runs with `havre ps`",
            code="no-replica",
        )
    )
