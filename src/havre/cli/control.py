"""`havre start`, `stop`, `restart` and `scale`."""

from __future__ import annotations

import re

import click

from havre.cli.deploy import release_as_proposed
from havre.cli.options import Chosen, app_options, json_option, wait_option, yes_option
from havre.cli.recover import settle_first
from havre.cli.session import open_instance
from havre.cli.show import say, show_json, wrapped
from havre.errors import InputError, Problem
from havre.workflows.autoscale import propose_autoscale
from havre.workflows.control import propose_restart, propose_scale, remember_scale
from havre.workflows.deploy import Proposal
from havre.workflows.halt import propose_start, propose_stop
from havre.workflows.server import Server


@click.command("restart")
@click.argument("services", nargs=-1)
@yes_option
@wait_option
@json_option
@app_options
def restart_command(chosen: Chosen, services: tuple[str, ...], yes: bool, wait: float, as_json: bool) -> None:
    """Replace the replicas of SERVICES (all by default) with fresh ones of the same version.

    Services that roll get new replicas beside the old ones and lose no request; services that keep data stop
    first, and requests for them are held meanwhile.

    \b
    Example:
      havre restart backend
    """
    server, instance = open_instance(chosen)
    settle_first(server, instance, wait=wait, quiet=as_json)
    _go(server, propose_restart(server, instance, services), yes=yes, wait=wait, as_json=as_json)


@click.command("scale")
@click.argument("wanted", nargs=-1, metavar="SERVICE=N...")
@click.option("--auto", is_flag=True, help="As many as `autoscale` in havre.yaml asks for at the load of this moment.")
@yes_option
@wait_option
@json_option
@app_options
def scale_command(chosen: Chosen, wanted: tuple[str, ...], auto: bool, yes: bool, wait: float, as_json: bool) -> None:
    """Run N replicas of a SERVICE; later deploys keep the number. `SERVICE=file` goes back to the Compose file's.

    With --auto the load decides: it is looked at for a few seconds, and every service under `autoscale` in havre.yaml
    gets replicas at once, or loses one. `havre export systemd` and `cron` make a timer that does so every minute.

    \b
    Examples:
      havre scale backend=3
      havre scale backend=file
      havre scale --auto
    """
    numbers = _numbers(wanted, auto=auto)
    server, instance = open_instance(chosen)
    settle_first(server, instance, wait=wait, quiet=as_json)
    if auto:
        _scale_by_load(server, instance, yes=yes, wait=wait, as_json=as_json)
        return
    _go(server, propose_scale(server, instance, numbers), yes=yes, wait=wait, as_json=as_json)
    remember_scale(server, instance, numbers)


def _scale_by_load(server: Server, instance: str, *, yes: bool, wait: float, as_json: bool) -> None:
    found = propose_autoscale(server, instance)
    if not as_json:
        for decision in found.decisions:
            say(wrapped(str(decision)))
    if found.proposal is not None:
        _go(server, found.proposal, yes=yes, wait=wait, as_json=as_json)
        remember_scale(server, instance, found.numbers)
    elif as_json:
        show_json({"instance": instance, "changed": False})


@click.command("stop")
@click.argument("services", nargs=-1)
@yes_option
@wait_option
@json_option
@app_options
def stop_command(chosen: Chosen, services: tuple[str, ...], yes: bool, wait: float, as_json: bool) -> None:
    """Stop SERVICES (all by default), dependents first; replicas and data stay, `havre start` brings them back.

    \b
    Example:
      havre stop backend
    """
    server, instance = open_instance(chosen)
    settle_first(server, instance, wait=wait, quiet=as_json)
    _go(server, propose_stop(server, instance, services), yes=yes, wait=wait, as_json=as_json)


@click.command("start")
@click.argument("services", nargs=-1)
@yes_option
@wait_option
@json_option
@app_options
def start_command(chosen: Chosen, services: tuple[str, ...], yes: bool, wait: float, as_json: bool) -> None:
    """Start SERVICES (all by default) that were stopped, what they need first, and lead traffic to them again.

    \b
    Examples:
      havre start
      havre start frontend    and the APIs and databases that it depends on
    """
    server, instance = open_instance(chosen)
    settle_first(server, instance, wait=wait, quiet=as_json)
    _go(server, propose_start(server, instance, services), yes=yes, wait=wait, as_json=as_json)


def _go(server: Server, proposal: Proposal, *, yes: bool, wait: float, as_json: bool) -> None:
    release_as_proposed(server, proposal, ask="Do it on", yes=yes, wait=wait, as_json=as_json)


def _numbers(wanted: tuple[str, ...], *, auto: bool) -> dict[str, int | None]:
    if auto == bool(wanted):
        raise click.UsageError("say SERVICE=N for each service, or --auto alone")
    numbers: dict[str, int | None] = {}
    problems = []
    for text in wanted:
        match = re.fullmatch(r"([^=]+)=(\d{1,4}|file)", text)
        if match is None:
            problems.append(Problem(summary=f"`{text}` is not SERVICE=N", hint="write, for example, `backend=3`"))
        else:
            numbers[match[1]] = None if match[2] == "file" else int(match[2])
    if problems:
        raise InputError(problems)
    return numbers
