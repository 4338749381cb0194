"""`havre server`: what this machine is, which apps share it, and where to look and whom to ask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from havre.checks.requirements import shortfalls
from havre.cli.edge import edge_for
from havre.cli.options import Chosen, app_options, json_option
from havre.cli.session import engines_here, environment, load_app, open_state
from havre.cli.show import say, show_json, show_table, wrapped
from havre.model.app import App, Support
from havre.model.server import ServerFacts
from havre.model.units import show_bytes, show_seconds
from havre.workflows.intent import find_project
from havre.workflows.machine import InstanceView, Machine, age, look_at_machine


@click.command("server")
@json_option
@app_options
def server_command(chosen: Chosen, as_json: bool) -> int:
    """Show what this machine is and what shares it: system, engines, CPUs, memory, disks, clock, the proxy, and
    every app with its release, ports, hosts and memory; and, where a havre.yaml is, whether the server has what
    the app needs (`server.needs`) and whom to ask (`support`).

    The exit code is 3 when something that the app needs is missing.

    \b
    Examples:
      havre server
      havre server --json
    """
    state = open_state(chosen)
    found = look_at_machine(state, engines_here(state), edge_for(state))
    app = app_if_any(chosen)
    missing = tuple(shortfalls(app.needs, found.facts)) if app else ()
    if as_json:
        facts = {name: value for name, value in _plain(found.facts).items() if name not in ("listeners", "claims")}
        shown = {"system": facts, "engines": found.engines, "edge": found.edge, "state": found.state}
        show_json({**shown, "apps": found.instances, "missing": missing, "support": app.support if app else None})
    else:
        _show(found)
        for one in missing:
            say(wrapped(f"missing: {one.wanted}; this server has {one.found}"), colour="red")
        if app:
            show_support(app.support)
    return 3 if missing else 0


def show_support(support: Support) -> None:
    """Where to look and whom to ask; nothing when the manifest says nothing."""
    for name, place in support.rows:
        say(wrapped(f"{name}: {place}", hang="  "))


def app_if_any(chosen: Chosen) -> App | None:
    """The app of this directory; this command is also for directories that have none."""
    named = chosen.manifest or chosen.environment or chosen.compose or environment().get("COMPOSE_FILE")
    return load_app(chosen) if named or find_project(Path.cwd()) else None


def _plain(facts: ServerFacts) -> dict[str, object]:
    """Without the thousands of programs: a script that needs one looks for it."""
    system = replace(facts.system, programs=None) if facts.system else None
    return {name: getattr(facts, name) for name in ServerFacts.__dataclass_fields__} | {"system": system}


def _show(found: Machine) -> None:
    facts, system = found.facts, found.facts.system
    if system:
        say(f"{system.hostname}: {system.name}, kernel {system.kernel} ({system.architecture})", bold=True)
        clock = {True: "kept in step", False: "not kept in step: install chrony", None: "unknown"}
        say(f"up {show_seconds(system.uptime)}, clock {clock[system.clock_in_step]}")
        say(wrapped(f"addresses: {', '.join(system.addresses) or 'none but loopback'}", hang="  "))
    used = facts.memory_total - facts.memory_available
    say(f"{facts.cpus} CPUs, {show_bytes(facts.memory_total)} of memory, {show_bytes(used)} in use")
    for disk in facts.disks:
        say(f"disk {disk.path} ({disk.purposes}): {show_bytes(disk.free)} of {show_bytes(disk.total)} free")
    for engine in found.engines or ("no engine answers",):
        say(f"engine: {engine}")
    edge = found.edge
    where = f"http {edge.address}:{edge.http_port}" + (
        f", https {edge.address}:{edge.https_port}" if edge.https_port else ""
    )
    say(f"edge: {'runs' if edge.running else 'does not run'}, {where}")
    say(f"  its log: {edge.access_log}")
    say(f"state: {found.state}")
    _show_apps(found)


def _show_apps(found: Machine) -> None:
    if not found.instances:
        say("no app was deployed here yet")
        return
    show_table(("APP", "RELEASE", "AGE", "RUNS", "MEMORY", "PORTS AND HOSTS"), [_row(one) for one in found.instances])


def _row(one: InstanceView) -> tuple[str, ...]:
    since = age(one)
    used = "?" if one.memory_used is None else show_bytes(one.memory_used)
    return (
        one.instance,
        str(one.release or "-"),
        show_seconds(since) if since is not None else "-",
        f"{one.running} of {one.replicas}",
        f"{used} of {show_bytes(one.memory_limit)}" if one.memory_limit else used,
        ", ".join((*one.ports, *one.hosts)) or "-",
    )
