"""`havre restore`."""

from __future__ import annotations

import click

from havre.cli.backup import open_storage
from havre.cli.deploy import confirm
from havre.cli.options import Chosen, app_options, json_option, yes_option
from havre.cli.show import say, show_json
from havre.host import clock
from havre.model.units import show_bytes, show_seconds
from havre.workflows.intent import Intent
from havre.workflows.recovery import recover_to
from havre.workflows.restore import drop_kept, restore
from havre.workflows.storage import Storage
from havre.workflows.which_snapshot import chosen_snapshot


@click.command("restore")
@click.argument("service")
@click.argument("snapshot", required=False)
@click.option("--at", metavar="TIME", help="Bring a database with `pitr` back as it was then, or `latest`.")
@click.option("--to", metavar="NAME", help="Restore into a new database or volume of that name, beside the live one.")
@click.option("--only", metavar="NAME", multiple=True, help="Only this database or volume of several; repeatable.")
@click.option("--doubtful", is_flag=True, help="Accept a snapshot that is suspicious.")
@click.option("--drop-kept", "drop", is_flag=True, help="Only remove what earlier restores kept.")
@yes_option
@json_option
@app_options
def restore_command(
    chosen: Chosen, service: str, snapshot: str | None, at: str | None, to: str | None, only: tuple[str, ...],
    doubtful: bool, drop: bool, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Restore SERVICE from SNAPSHOT (the newest good one by default).

    A database is restored beside the live one, compared with what the snapshot held, and then swapped while
    requests are held at the edge; the live one is kept under another name. Any SQL error is a failure, and then
    nothing has changed. Directories are put beside the live ones and compared, too, before they change places.

    With --at the whole server is brought back as it was at that moment (in this server's time zone unless it says
    another), from a base backup and its write-ahead log, beside the live data; then the two change places.

    \b
    Examples:
      havre restore db
      havre restore db db-20261120-020000 --to shop_yesterday
      havre restore db --only shop --to shop_yesterday
      havre restore uploads --to uploads_yesterday
      havre restore db --at "2026-11-26 21:00:00"
      havre restore db --at latest
      havre restore db --drop-kept
    """
    if drop and (given := [name for name, value in _others(snapshot, at, to, only, doubtful=doubtful) if value]):
        raise click.UsageError(f"--drop-kept only removes, and restores nothing: leave out {', '.join(given)}")
    if at is not None and doubtful:
        raise click.UsageError("--doubtful is for snapshots; what --at restores is proven by itself")
    storage, intent = open_storage(chosen)
    if drop:
        confirm(storage.server, yes=yes, what=f"Remove what earlier restores of {service} kept?")
        dropped = drop_kept(storage, intent, service)
        say(f"removed {', '.join(dropped)}" if dropped else "there is none")
        return
    if at is not None:
        _restore_at(storage, intent, service, _moment(at, snapshot), to, only, yes=yes, as_json=as_json)
        return
    instance = intent.app.instance
    found = chosen_snapshot(storage.book.snapshots(instance), instance, service, snapshot, doubtful=doubtful)
    taken = f"{clock.show_time(found.started_at)}, {show_bytes(found.size)}"
    if not as_json:
        say(f"{found.id} ({taken}) on {storage.server.machine}", bold=True)
    if to is None:
        confirm(storage.server, yes=yes, what=f"Replace the live data of {service}? What is live now is kept.")
    progress = (lambda _: None) if as_json else say
    done = restore(storage, intent, service, found.id, to=to, only=only, doubtful=doubtful, progress=progress)
    if as_json:
        show_json(done)
        return
    say(f"restored {', '.join(done.into)} in {show_seconds(done.seconds)}", bold=True, colour="green")
    for line in done.verified:
        say(f"  verified: {line}")
    if done.kept:
        say(f"  what was live before is kept: {', '.join(done.kept)}")


def _others(
    snapshot: str | None, at: str | None, to: str | None, only: tuple[str, ...], *, doubtful: bool
) -> tuple[tuple[str, object], ...]:
    """What says which data to restore, and whether it was given."""
    return ("SNAPSHOT", snapshot), ("--at", at), ("--to", to), ("--only", only), ("--doubtful", doubtful)


def _restore_at(
    storage: Storage, intent: Intent, service: str, at: float | None, to: str | None, only: tuple[str, ...], *,
    yes: bool, as_json: bool,
) -> None:  # fmt: skip
    if only and (to is None or len(only) > 1):
        raise click.UsageError("--at brings the whole server back; one database of it is had with --only NAME --to NEW")
    moment = "as new as it can be had" if at is None else f"as it was at {clock.show_time(at)}"
    if to is None:
        what = f"Bring all databases of {service} on {storage.server.machine} back {moment}? What is live now is kept."
        confirm(storage.server, yes=yes, what=what)
    progress = (lambda _: None) if as_json else say
    done = recover_to(storage, intent, service, at, to=to, only=next(iter(only), None), progress=progress)
    if as_json:
        show_json(done)
        return
    say(f"restored {', '.join(done.into)} {moment} in {show_seconds(done.seconds)}", bold=True, colour="green")
    for line in done.verified:
        say(f"  verified: {line}")
    if done.kept:
        say(f"  what was live before is kept: {', '.join(done.kept)} in the data directory")


def _moment(text: str, snapshot: str | None) -> float | None:
    """Seconds since the epoch; None for `latest`."""
    if snapshot is not None:
        raise click.UsageError("give a snapshot or --at, not both")
    if text == "latest":
        return None
    if (at := clock.parse_time(text)) is None:
        raise click.BadParameter(
            f"`{text}` is no time; for example `2026-11-26 21:00:00` or `latest`", param_hint="--at"
        )
    return at
