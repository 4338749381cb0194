"""`havre diff`: what differs between two environments, or between what runs and the files."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import click

from havre.cli.options import Chosen, app_options, json_option
from havre.cli.session import load, open_instance
from havre.cli.show import say, show_json, wrapped
from havre.planning.differences import Difference, Side, differences, shared_secrets
from havre.workflows.differences import side_of_files, side_that_runs


@click.command("diff")
@click.argument("environments", nargs=-1, metavar="[ONE [OTHER]]")
@click.option("--running", is_flag=True, help="Compare what serves in ONE and OTHER, instead of their files.")
@click.option("--exit-code", "by_code", is_flag=True, help="End with 1 when anything differs, for scripts.")
@json_option
@app_options
def diff_command(chosen: Chosen, environments: tuple[str, ...], running: bool, by_code: bool, as_json: bool) -> int:
    """Show what differs: images, variables, routes, limits, replicas, mounted files, keys of the manifest.

    With two environments, their files are compared; with one or none, what runs there with its files. Names that
    differ only by the environment are the same; secrets are told by name, never by value. The exit code is 0
    whether anything differs or not, unless --exit-code is given.

    \b
    Examples:
      havre diff                          what the next deploy would change
      havre diff staging production
      havre diff staging production --running --json
    """
    if len(environments) > 2:
        raise click.UsageError("at most two environments can be compared")
    one, other = _sides(chosen, environments, running=running)
    found = differences(one, other)
    shared = shared_secrets(one, other) if len(environments) == 2 else ()
    if as_json:
        show_json({"one": one.label, "other": other.label, "differences": found, "shared_secrets": shared})
    else:
        _show(one, other, found)
        if shared:
            text = f"same value in both, so whoever has one has the other: {', '.join(shared)}"
            say(wrapped(text, hang="    "), colour="yellow")
    return 1 if found and by_code else 0


def _sides(chosen: Chosen, environments: tuple[str, ...], *, running: bool) -> tuple[Side, Side]:
    if len(environments) == 2:
        one, other = (_side(replace(chosen, environment=name), name, running=running) for name in environments)
        return one, other
    name = environments[0] if environments else chosen.environment
    there = replace(chosen, environment=name)
    server, instance = open_instance(there)
    return side_that_runs(server, instance), side_of_files(load(there), label="the files")


def _side(chosen: Chosen, name: str, *, running: bool) -> Side:
    if not running:
        return side_of_files(load(chosen), label=name)
    server, instance = open_instance(chosen)
    side = side_that_runs(server, instance)
    return replace(side, label=f"{name} ({side.label})")


def _show(one: Side, other: Side, found: tuple[Difference, ...]) -> None:
    if not found:
        say(f"{one.label} and {other.label}: no difference")
        return
    say(f"{one.label} → {other.label}: {len(found)} differences", bold=True)
    for subject, group in groupby(found, key=lambda difference: difference.subject):
        say(subject, bold=True)
        for difference in group:
            say(wrapped(_line(difference, one.label, other.label), indent="  ", hang="      "))


def _line(difference: Difference, one: str, other: str) -> str:
    if difference.one is None:
        return f"+ {difference.what}: only in {other}: {difference.other}"
    if difference.other is None:
        return f"- {difference.what}: only in {one}: {difference.one}"
    if difference.one == difference.other:
        return f"~ {difference.what}: differs (a secret, not shown)"
    return f"~ {difference.what}: {difference.one} → {difference.other}"
