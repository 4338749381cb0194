"""`havre backup` and what belongs to it: list, status, accept, check, export-key."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from havre.backups.choosing import policies_for, unkept
from havre.backups.vault import escrow_text
from havre.backups.wal import windows
from havre.cli.deploy import confirm
from havre.cli.options import Chosen, app_options, json_option, yes_option
from havre.cli.session import environment, load, load_app, open_server
from havre.cli.show import is_terminal, say, show_json, show_table, wrapped
from havre.cli.timers import export_timers
from havre.errors import FailedError, InputError, Problem
from havre.host import clock
from havre.host.files import write_atomic
from havre.model.backup import DrillReport, Snapshot, Verdict
from havre.model.pitr import Window
from havre.model.units import show_bytes, show_seconds
from havre.workflows.backup import accept, back_up
from havre.workflows.backup_status import ServiceStatus, status_of
from havre.workflows.intent import Intent
from havre.workflows.recover_server import keep_configuration
from havre.workflows.storage import Storage
from havre.workflows.tidying import outdated, tidy
from havre.workflows.wal import keep_wal, pitr_policies
from havre.workflows.which_snapshot import refuse_unknown_service

COLOURS = {Verdict.GOOD: "green", Verdict.SUSPICIOUS: "yellow", Verdict.FAILED: "red"}


class _Backup(click.Group):
    """`havre backup db` is `havre backup take db`: what is no subcommand is a service."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `take` in front unless a subcommand or the group's own help is asked for."""
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = ["take", *args]
        return super().parse_args(ctx, args)


@click.group("backup", cls=_Backup)
def backup_command() -> None:
    """Back up the app's data: databases, Redis, volumes and commands' output, encrypted and verified.

    Without a subcommand the SERVICES named are backed up, or all that have a policy or are known to hold data.

    \b
    Examples:
      havre backup                 back up everything
      havre backup db              back up one service
      havre backup list            what there is, and what it is worth
      havre backup status          age, size, next, and whether it is too old
      havre backup tidy            remove what is older than `keep` says
    """


@backup_command.command("take")
@click.argument("services", nargs=-1)
@click.option("--live", is_flag=True, help="Copy directories while their service runs (the default stops it).")
@json_option
@app_options
def take_command(chosen: Chosen, services: tuple[str, ...], live: bool, as_json: bool) -> None:
    """Take a verified snapshot now; exit code 1 when one failed or is suspicious.

    \b
    Example:
      havre backup take db cache
    """
    storage, intent = open_storage(chosen)
    progress = (lambda _: None) if as_json else say
    failed = list[Problem]()
    taken: tuple[Snapshot, ...] = ()
    with _going_on(failed):
        taken = back_up(storage, intent, services, live=live, progress=progress)
    with _going_on(failed):
        keep_configuration(storage, intent, Path(chosen.manifest or "havre.yaml").name)
    wanted = {policy.service for policy in policies_for(intent.app, intent.project, services)}
    if with_log := [policy.service for policy in pitr_policies(intent) if policy.service in wanted]:
        with _going_on(failed):
            keep_wal(storage, intent, with_log, progress=progress)
    if failed:
        raise FailedError(failed)
    if as_json:
        show_json(taken)
    for snapshot in () if as_json else taken:
        _show(snapshot)
    if (others := unkept(intent.app, intent.project)) and not (as_json or services):
        say(wrapped(f"note: not kept, as nothing under `backups:` in havre.yaml says how: {', '.join(others)}"))
    if not all(snapshot.is_good for snapshot in taken):
        raise SystemExit(1)


@backup_command.command("list")
@click.argument("service", required=False)
@json_option
@app_options
def list_command(chosen: Chosen, service: str | None, as_json: bool) -> None:
    """List the snapshots, newest first.

    \b
    Example:
      havre backup list db
    """
    storage, intent = open_storage(chosen)
    known = storage.book.snapshots(intent.app.instance)
    if service is not None:
        refuse_unknown_service(known, intent.app.instance, service, intent.project.service_names)
    found = [one for one in known if service in (None, one.service)]
    if as_json:
        show_json(found)
        return
    if not found:
        say(f"{intent.app.instance}: no snapshot yet. Next: havre backup take{f' {service}' if service else ''}")
        return
    headers = ("SNAPSHOT", "TAKEN", "KIND", "SIZE", "VERDICT", "HOLDS")
    show_table(headers, [_row(snapshot) for snapshot in found])


@backup_command.command("status")
@json_option
@app_options
def status_command(chosen: Chosen, as_json: bool) -> None:
    """Age of the newest good snapshot of each service, the last drill, and what losing the server now would cost (RPO).

    With `pitr` also the moments that can be restored. Exit code 1 when something is overdue or wrong.

    \b
    Example:
      havre backup status --json | jq '.[].rpo'
    """
    storage, intent = open_storage(chosen)
    found = status_of(storage, intent, clock.now())
    if as_json:
        show_json(found)
    else:
        for status in found:
            _show_status(status)
    if any(status.problems for status in found):
        raise SystemExit(1)


@backup_command.command("wal")
@click.argument("services", nargs=-1)
@click.option("--base", is_flag=True, help="Take a base backup now, due or not.")
@json_option
@app_options
def wal_command(chosen: Chosen, services: tuple[str, ...], base: bool, as_json: bool) -> None:
    """Keep the write-ahead log of the databases with `pitr`: start the receiver, ship the log, take a base when due.

    The timers of `havre backup timers` run it; after a gap it begins anew with a base backup, and exits with 1.

    \b
    Examples:
      havre backup wal
      havre backup wal db --base
    """
    storage, intent = open_storage(chosen)
    kept = keep_wal(storage, intent, services, base=base, progress=(lambda _: None) if as_json else say)
    found = {service: windows(archive) for service, archive in kept}
    if as_json:
        show_json(found)
        return
    for service, open_windows in found.items():
        say(f"{service}: its log is stored; can be restored: {show_windows(open_windows)}", colour="green")


@backup_command.command("accept")
@click.argument("snapshot")
@json_option
@app_options
def accept_command(chosen: Chosen, snapshot: str, as_json: bool) -> None:
    """Say that a suspicious snapshot is right: the data really is that much less.

    \b
    Example:
      havre backup accept db-20261120-020000
    """
    storage, intent = open_storage(chosen)
    accepted = accept(storage, intent.app.instance, snapshot)
    if as_json:
        show_json(accepted)
    else:
        say(f"{accepted.id} counts as good from now on", colour="green")


@backup_command.command("check")
@click.option("--read", "share", default="5%", show_default=True, help="How much of the data to read byte by byte.")
@app_options
def check_command(chosen: Chosen, share: str) -> None:
    """Prove the repository itself: its structure, and a share of its data.

    \b
    Example:
      havre backup check --read 100%
    """
    storage, intent = open_storage(chosen)
    urls = dict.fromkeys(url for policy in intent.app.backups for url in storage.urls(policy))
    for url in urls or {storage.default_url: None}:
        repository = storage.repository(url)
        repository.check(share=share)
        say(f"{repository.shown}: sound, {share} of the data read", colour="green")


@backup_command.command("tidy")
@click.argument("services", nargs=-1)
@yes_option
@json_option
@app_options
def tidy_command(chosen: Chosen, services: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Remove the snapshots that `keep` no longer asks for, and free their room; every good backup does it too.

    What killed backups left goes too. The newest good ones stay whatever their age: `keep.minimum`, and one at the
    very least.

    \b
    Example:
      havre backup tidy db
    """
    storage, intent = open_storage(chosen)
    instance, gone, failed = intent.app.instance, list[Snapshot](), list[Problem]()
    for policy in policies_for(intent.app, intent.project, services):
        if found := outdated(storage, instance, policy):
            confirm(storage.server, yes=yes, what=f"Remove {len(found)} snapshots of {policy.service}?")
        tidied = tidy(storage, instance, policy, thorough=True)
        gone += tidied.gone
        failed += tidied.problems
    if failed:
        raise FailedError(failed)
    if as_json:
        show_json(gone)
        return
    for snapshot in gone:
        say(f"removed {snapshot.id}, {show_bytes(snapshot.size)}")
    say(f"{len(gone)} snapshots removed" if gone else "nothing is older than `keep` says")


@backup_command.command("timers")
@click.argument("system", type=click.Choice(["systemd", "cron"]))
@click.option("--to", "target", type=click.Path(file_okay=False, path_type=Path), help="systemd: write the units here.")
@app_options
def timers_command(chosen: Chosen, system: str, target: Path | None) -> None:
    """The same as `havre export systemd` and `havre export cron`.

    \b
    Examples:
      havre backup timers cron > /etc/cron.d/havre-lexikon
      havre backup timers systemd --to /etc/systemd/system
    """
    export_timers(chosen, load_app(chosen), system, target=target)


@backup_command.command("export-key")
@click.option("--to", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write it here, for scripts.")
@app_options
def export_key_command(chosen: Chosen, target: Path | None) -> None:
    """Give out the key without which no backup can be read, once, to be kept outside this server.

    \b
    Examples:
      havre backup export-key                  print it, and confirm
      havre backup export-key --to /mnt/usb/k  write it there, and take that for confirmed
    """
    storage, intent = open_storage(chosen)
    urls = tuple(dict.fromkeys(url for policy in intent.app.backups for url in storage.urls(policy)))
    text = escrow_text(storage.vault.password(), urls or (storage.default_url,), storage.server.machine)
    if target is not None:
        if not target.parent.is_dir():
            raise InputError(_no_directory(target))
        write_atomic(target, text, mode=0o600)
        storage.vault.confirm()
        say(f"written to {target}: move it away from this server", colour="green")
        return
    click.echo(text)
    if not is_terminal():
        storage.vault.refuse_without_escrow()
        return
    click.confirm("Is it kept outside this server now?", abort=True)
    storage.vault.confirm()
    say("thank you; backups may be taken from now on", colour="green")


def _no_directory(target: Path) -> Problem:
    """A directory made here would be on this server's own disk, where a mounted one was meant."""
    return Problem(
        summary=f"there is no directory {target.parent}",
        evidence=("a disk that is to take the key may not be mounted",),
        effect="nothing was written, and the key does not count as kept",
        hint="mount it or correct the path, then again",
        code="key-not-escrowed",
    )


@contextlib.contextmanager
def _going_on(failed: list[Problem]) -> Iterator[None]:
    """What fails in the block is told at the end: one destination or service keeps no other from its backup."""
    try:
        yield
    except FailedError as error:
        failed += error.problems


def open_storage(chosen: Chosen) -> tuple[Storage, Intent]:
    """The repositories as this server reaches them, and what is to be backed up."""
    intent = load(chosen)
    return Storage(server=open_server(chosen, intent.app), variables=environment()), intent


def show_windows(found: Sequence[Window]) -> str:
    """`2026-11-20 22:05:13 to 2026-11-21 08:00:00, …`."""
    spans = [f"{clock.show_time(one.since)} to {clock.show_time(one.until)}" for one in found]
    return ", and ".join(spans) or "nothing yet"


def _show(snapshot: Snapshot) -> None:
    took = show_seconds(snapshot.ended_at - snapshot.started_at)
    verdict, size = snapshot.verdict.value, show_bytes(snapshot.size)
    say(f"{snapshot.id}: {verdict}, {size} in {took}", bold=True, colour=COLOURS[snapshot.verdict])
    for check in snapshot.checks:
        say(f"  verified: {check}")
    for reason in snapshot.reasons:
        say(f"  suspicious: {reason}", colour="yellow")
    if snapshot.reasons:
        say(f"  it is kept, and counts only after `havre backup accept {snapshot.id}`", colour="yellow")


def _row(snapshot: Snapshot) -> tuple[str, ...]:
    purpose = "" if snapshot.purpose == "backup" else f" ({snapshot.purpose})"
    held = ", ".join(f"{part.name} {part.total}" for part in snapshot.parts) or "; ".join(snapshot.reasons)
    return (
        snapshot.id,
        clock.show_time(snapshot.started_at)[:16],
        snapshot.kind + purpose,
        show_bytes(snapshot.size),
        snapshot.verdict.value,
        held,
    )


def _show_status(status: ServiceStatus) -> None:
    """One block for each service: what would be lost now, what comes next, what was proven."""
    say(f"{status.service}: {'ok' if not status.problems else 'ATTENTION'}", bold=True, colour=_colour(status))
    for problem in status.problems:
        say(wrapped(problem, indent="  ! ", hang="    "), colour="red")
    say(wrapped(f"  newest  {_newest(status)}", hang="          "))
    say(f"  next    {_moment(status.next)}")
    say(wrapped(f"  drill   {_drill(status)}", hang="          "))
    if status.windows:
        say(wrapped(f"  pitr    any moment of {show_windows(status.windows)}", hang="          "))


def _newest(status: ServiceStatus) -> str:
    newest, promised = status.newest, f"; promised {show_seconds(status.promised_rpo)}" if status.promised_rpo else ""
    lost = f"RPO now {show_seconds(status.rpo)}{promised}" if status.rpo is not None else f"RPO{promised}"
    if newest is None or status.age is None:
        return f"none ({lost})" if status.windows else f"none: everything would be lost now ({lost})"
    verified = f"{show_bytes(newest.size)}, {len(newest.checks)} checks"
    return f"{newest.id}, {verified}; {show_seconds(status.age)} old ({lost})"


def _drill(status: ServiceStatus) -> str:
    following = f"; next {_moment(status.next_drill)}" if status.next_drill else ""
    if status.drill is None:
        return f"never{following}"
    promised = f"; promised {show_seconds(status.promised_rto)}" if status.promised_rto else ""
    when = clock.show_time(status.drill.at)[:16]
    if not status.drill.passed:
        return f"FAILED {when}: {_first_line(status.drill)}{following}"
    return f"passed {when}, {show_seconds(status.drill.rto)} to restore (RTO{promised}){following}"


def _first_line(drill: DrillReport) -> str:
    return next((line for text in drill.lines for line in text.splitlines()), "nothing is known of why")


def _moment(at: float | None) -> str:
    return clock.show_time(at)[:16] if at else "not scheduled"


def _colour(status: ServiceStatus) -> str:
    return "red" if status.problems else "green"
