"""`havre boot`: what brings this server's apps back after a reboot, and the unit that runs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import click

from havre.cli.edge import edge_for
from havre.cli.options import Chosen, app_options, json_option
from havre.cli.session import environment, open_known, open_state
from havre.cli.show import say, show_json, show_problem, wrapped
from havre.errors import HavreError, Problem, Severity
from havre.host.autostart import Autostart, can_install, unit_directory
from havre.host.home import home_directory
from havre.model.release import Release, ReleaseState
from havre.store.state import State, default_directory
from havre.workflows.boot import Comeback, come_back

ACTIONS = ("status", "now", "install", "remove", "unit", "cron")
KEPT = ("DOCKER_HOST", "PATH")
"""What a unit must know of the environment in which apps were deployed."""


@click.command("boot")
@click.argument("action", type=click.Choice(ACTIONS), default="status")
@json_option
@app_options
def boot_command(chosen: Chosen, action: str, as_json: bool) -> int:
    """Bring all apps of this server back after a reboot: the proxy with its routes, replicas, cut-off releases.

    `install` enables a systemd unit that does it by itself (the first deploy did that already where systemd runs);
    `now` does it at once; `cron` and `unit` print what to install by hand; `remove` takes the unit away.

    \b
    Examples:
      havre boot                                  does all come back by itself?
      havre boot install
      (crontab -l; havre boot cron) | crontab -   where no systemd runs
    """
    state = open_state(chosen)
    autostart = autostart_for(state)
    match action:
        case "now":
            return _come_back(state, as_json=as_json)
        case "install":
            autostart.install()
        case "remove":
            autostart.remove()
        case "unit":
            click.echo(autostart.unit(), nl=False)
            return 0
        case "cron":
            click.echo(autostart.crontab_line())
            return 0
    _show_status(autostart, as_json=as_json)
    return 0


def autostart_for(state: State) -> Autostart:
    """What brings this state directory back, run by this very Python."""
    variables, is_root = environment(), os.geteuid() == 0
    home = home_directory()
    directory = state.directory
    return Autostart(
        argv=(sys.executable, "-m", "havre", "boot", "now", "--state", str(directory)),
        environment=_kept(variables),
        state=directory,
        units=unit_directory(is_root=is_root, home=home, config=variables.get("XDG_CONFIG_HOME")),
        is_root=is_root,
        is_default=directory == default_directory(is_root=is_root, home=home, override=None),
    )


def survive_reboots(state: State, release: Release, *, quiet: bool) -> None:
    """After an app's first release that serves: see to it that the server brings it back, or say what is missing."""
    autostart = autostart_for(state)
    if autostart.is_installed or _served_before(state, release):
        return
    if not (autostart.is_default and can_install()):
        if not quiet:
            say(wrapped("note: nothing brings this app back after a reboot yet: `havre boot install`"), colour="cyan")
        return
    try:
        autostart.install()
    except HavreError as error:
        for problem in error.problems:
            show_problem(problem)
        return
    if not quiet:
        say(wrapped(f"note: {autostart.name} brings this server's apps back after a reboot (`havre boot`)"))


def _served_before(state: State, release: Release) -> bool:
    """Releases that failed before the first one that serves do not count."""
    earlier = (one for one in state.releases.list(release.instance, limit=200) if one.number < release.number)
    return any(one.state is ReleaseState.SUPERSEDED for one in earlier)


def _kept(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: variables[name] for name in KEPT if variables.get(name)}


def _come_back(state: State, *, as_json: bool) -> int:
    edge = edge_for(state)
    known = {known.instance: known for known in state.instances.list()}
    if any(edge.read(instance) is not None for instance in known):
        edge.ensure_running()
    found = []
    for comeback in come_back(known, lambda instance: open_known(state, known[instance])):
        found.append(comeback)
        if not as_json:
            _show(comeback)
    if as_json:
        show_json({"instances": found})
    elif not found:
        say("no app was deployed on this server")
    return 1 if any(one.problems for one in found) else 0


def _show(comeback: Comeback) -> None:
    for problem in comeback.problems:
        show_problem(problem)
    if not comeback.problems:
        rest = "; what was stopped stays so (`havre start`)" if comeback.was_stopped else ""
        say(wrapped(f"{comeback.instance}: back, {comeback.replicas} replicas behind the edge{rest}", hang="  "))


def _show_status(autostart: Autostart, *, as_json: bool) -> None:
    if as_json:
        show_json({"installed": autostart.is_installed, "unit": str(autostart.path), "state": str(autostart.state)})
    elif autostart.is_installed:
        say(f"after a reboot this server's apps come back: {autostart.path}")
    else:
        show_problem(_not_installed(autostart), error=False)


def _not_installed(autostart: Autostart) -> Problem:
    changed = autostart.path.is_file()
    by_hand = "`havre boot cron` prints the line for `crontab -e` (no systemd runs here)"
    return Problem(
        summary=f"{autostart.path} is not as it should be" if changed else "no unit brings this server's apps back",
        effect="" if changed else "after a reboot they stay away until the next command, unless cron has the line",
        hint="`havre boot install` writes and enables it" if can_install() else by_hand,
        code="boot-not-installed",
        severity=Severity.WARNING,
    )
