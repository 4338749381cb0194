"""Timers for what the manifest schedules, for systemd or cron: `havre export systemd` and `havre export cron`."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from havre.backups.timers import PATH, Runner, crontab, systemd, timers_for
from havre.cli.options import Chosen
from havre.cli.session import environment, open_state
from havre.cli.show import say
from havre.errors import InputError, Problem
from havre.host.commands import find_program
from havre.host.files import write_atomic
from havre.model.app import App

PASSED_ON = ("DOCKER_HOST", "HAVRE_RESTIC")
"""Variables that Havre itself reads: a timer must see what the person saw who made it."""


def export_timers(chosen: Chosen, app: App, system: str, *, target: Path | None = None, log: str | None = None) -> None:
    """Print the timers of an app, or write the units into a directory."""
    certificates = any(route.redirect_to is None for route in app.routes) and app.tls.mode in ("auto", "acme")
    options = _options(chosen, app)
    timers = tuple(
        timers_for(app.instance, options, app.backups, certificates=certificates, autoscale=bool(app.autoscale))
    )
    if not timers:
        raise InputError(_nothing_scheduled(app))
    runner = Runner(
        program=_program(), user=person_running(), variables=tuple(_passed_on(open_state(chosen).directory))
    )
    log = str(Path(log).absolute()) if log else None
    if system == "cron":
        click.echo(crontab(timers, runner, log=log), nl=False)
        return
    units = systemd(timers, runner, log=log)
    for name, content in units:
        if target is None:
            click.echo(f"# {name}\n{content}")
        else:
            _write(target / name, content)
    if target is not None:
        names = " ".join(f"{timer.name}.timer" for timer in timers)
        say(f"{len(units)} units are in {target}; next: systemctl daemon-reload && systemctl enable --now {names}")


def person_running() -> str:
    """Whose user id this process has: the one that a timer must have too."""
    return pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() else "root"


def _passed_on(state: Path) -> Iterator[tuple[str, str]]:
    """With the restic that is found now, where the timers' own PATH would find none."""
    seen = environment()
    yield from ((name, value) for name in PASSED_ON if (value := seen.get(name)))
    restic = find_program("restic")
    is_found = restic is None or str(Path(restic).parent) in PATH.split(":") or (state / "bin" / "restic").exists()
    if not is_found and restic is not None and "HAVRE_RESTIC" not in seen:
        yield "HAVRE_RESTIC", str(Path(restic).absolute())


def _options(chosen: Chosen, app: App) -> list[str]:
    """The options that name the same app from any directory."""
    manifest = str(Path(app.directory) / Path(chosen.manifest or "havre.yaml").name)
    options = ["--manifest", manifest, "--environment", app.environment]
    options += ["--state", str(open_state(chosen).directory)] if chosen.state else []
    options += ["--engine", chosen.engine] if chosen.engine else []
    for name, values in (("--compose-file", chosen.compose), ("--env-file", chosen.env_files)):
        options += [word for value in values for word in (name, str(Path(value).absolute()))]
    return options + [word for profile in chosen.profiles for word in ("--profile", profile)]


def _program() -> tuple[str, ...]:
    """The `havre` beside this interpreter, else the interpreter itself: what runs now, not what PATH finds."""
    beside = Path(sys.executable).parent / "havre"
    return (str(beside),) if beside.is_file() else (sys.executable, "-m", "havre")


def _write(path: Path, content: str) -> None:
    write_atomic(path, content)
    say(f"wrote {path}")


def _nothing_scheduled(app: App) -> Problem:
    return Problem(
        summary="nothing is scheduled, so there is no timer to export",
        subject=app.instance,
        hint='give a service under `backups:` in havre.yaml a `schedule: "0 2 * * *"` or a `drill: monthly`',
        code="nothing-scheduled",
    )
