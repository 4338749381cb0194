"""`havre releases`: what was deployed, when, by whom, and how it went."""

from __future__ import annotations

import click

from havre.cli.options import Chosen, app_options, json_option
from havre.cli.session import load_app, open_state
from havre.cli.show import say, show_json, show_table
from havre.errors import InputError, Problem
from havre.host import clock
from havre.model.release import JournalEntry, Release, ReleaseState, StepState
from havre.model.units import show_seconds

SIGNS = {StepState.DONE: "✓", StepState.FAILED: "✗", StepState.STARTED: "…", StepState.SKIPPED: "-"}
COLOURS = {ReleaseState.SERVING: "green", ReleaseState.FAILED: "red", ReleaseState.INTERRUPTED: "yellow"}


@click.command("releases")
@click.argument("number", type=int, required=False)
@click.option("-n", "--limit", type=int, default=20, metavar="N", help="How many [default: 20].")
@json_option
@app_options
def releases_command(chosen: Chosen, number: int | None, limit: int, as_json: bool) -> None:
    """List the releases of this app, newest first; with a NUMBER, everything about that one.

    \b
    Examples:
      havre releases
      havre releases 12        its plan, each step's state and time, the images it ran
    """
    app = load_app(chosen)
    book = open_state(chosen).releases
    if number is None:
        found = book.list(app.instance, limit=limit)
        if as_json:
            show_json(found)
        else:
            _show_list(app.instance, found)
        return
    release = book.get(app.instance, number)
    if release is None:
        raise InputError(_unknown(app.instance, number))
    journal = book.journal(app.instance, number)
    if as_json:
        show_json({"release": release, "journal": journal})
    else:
        _show_one(release, journal)


def _show_list(instance: str, releases: tuple[Release, ...]) -> None:
    if not releases:
        say(f"{instance}: no release yet. Next: havre plan")
        return
    headers = ("REL", "STATE", "WHEN", "TOOK", "KIND", "COMMIT", "BY", "RESULT")
    show_table(headers, [_row(release) for release in releases])


def _row(release: Release) -> tuple[str, ...]:
    kind = release.kind if release.rolled_back_to is None else f"{release.kind} to {release.rolled_back_to}"
    kind += f" of {release.promoted_from}" if release.promoted_from else ""
    return (
        str(release.number),
        release.state.value,
        clock.show_time(release.started_at)[:16],
        "-" if release.ended_at is None else show_seconds(release.ended_at - release.started_at),
        kind,
        (release.commit or "-") + ("+" if release.dirty else ""),
        release.by or "-",
        release.result,
    )


def _show_one(release: Release, journal: tuple[JournalEntry, ...]) -> None:
    say(
        f"release {release.number} of {release.instance}: {release.state.value}",
        bold=True,
        colour=COLOURS.get(release.state),
    )
    say(f"  {release.kind} by {release.by or 'unknown'} on {clock.show_time(release.started_at)}")
    for waived in release.waivers:
        say(f"  {waived}")
    if release.promoted_from:
        say(f"  images of {release.promoted_from}")
    if release.commit:
        say(f"  commit {release.commit}{' with local changes' if release.dirty else ''}")
    if release.result:
        say(f"  {release.result}")
    if release.schema_head:
        say(f"  schema at {release.schema_head}")
    for name, seconds in release.phases:
        say(f"  {name}: {show_seconds(seconds)}")
    for image in release.images:
        say(f"  image of {image.service}: {image.reference} = {image.image_id[:19]}")
    for entry in journal:
        took = ""
        if entry.started_at is not None and entry.ended_at is not None:
            took = f" ({show_seconds(entry.ended_at - entry.started_at)})"
        say(f"  {SIGNS.get(entry.state, ' ')} {entry.number}. {entry.text}{took}")
        if entry.error:
            say("      " + entry.error.replace("\n", "\n      "))


def _unknown(instance: str, number: int) -> Problem:
    return Problem(
        summary=f"there is no release {number}",
        subject=instance,
        hint="list them with `havre releases`",
        code="release-unknown",
    )
