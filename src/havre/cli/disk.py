"""`havre disk`: what takes the room on this server; `havre prune`: let go of what no release needs."""

from __future__ import annotations

import click

from havre.cli.deploy import confirm
from havre.cli.options import Chosen, app_options, json_option, yes_option
from havre.cli.session import open_servers
from havre.cli.show import say, show_json, show_table, wrapped
from havre.model.server import Disk
from havre.model.units import show_bytes
from havre.model.upkeep import Stored
from havre.workflows.check import look_at_server
from havre.workflows.disk import Pruning, Wanted, consumers, propose_prune, prune
from havre.workflows.server import Server

_STAYS = "Volumes, and everything of apps that run or are only stopped, stay."


@click.command("disk")
@click.option("--all", "everything", is_flag=True, help="Everything, not only the biggest 15.")
@json_option
@app_options
def disk_command(chosen: Chosen, everything: bool, as_json: bool) -> None:
    """Show how full the disks are, and what takes the room: images, volumes, logs, build cache, backups, the
    biggest first, each with the app it belongs to (`-` is not Havre's).

    \b
    Examples:
      havre disk
      havre disk --all --json
    """
    servers = open_servers(chosen)
    disks = _disks(servers)
    found = [one for server in servers for one in consumers(server)]
    found = sorted({one.id: one for one in found}.values(), key=lambda one: -one.size)
    if as_json:
        show_json({"disks": disks, "consumers": [_as_dict(one) for one in found]})
        return
    for disk in disks:
        say(f"{disk.path}: {show_bytes(disk.free)} of {show_bytes(disk.total)} are free ({disk.purposes})", bold=True)
    shown = [one for one in found if one.size] if everything else [one for one in found if one.size][:15]
    show_table(
        ("SIZE", "KIND", "APP", "WHAT"),
        [(show_bytes(one.size), one.kind.value, one.instance or "-", one.name) for one in shown],
    )
    if len(shown) < len(found):
        rest = sum(one.size for one in found) - sum(one.size for one in shown)
        say(f"{len(found) - len(shown)} more with {show_bytes(rest)} together; `havre prune` removes what may go")


@click.command("prune")
@click.option(
    "--log-days", type=click.FloatRange(min=0), default=30.0, show_default=True, metavar="DAYS",
    help="Rotated logs that were last written longer ago go.",
)  # fmt: skip
@click.option("--build-cache", is_flag=True, help="Also the engine's build cache; everybody who builds here shares it.")
@yes_option
@json_option
@app_options
def prune_command(chosen: Chosen, log_days: float, build_cache: bool, yes: bool, as_json: bool) -> int:
    """Show what no release needs and how much room it takes, ask, and remove it: images built for releases that are
    no longer kept (`keep_releases` in havre.yaml), images that were pulled for them, replicas that failed in earlier
    releases, and old rotated logs.

    Only what belongs to this server's Havre goes. Volumes never go, nor anything of an app that is stopped or was
    taken down with its data kept, nor anything that somebody else made. With --json and without -y it only shows.

    \b
    Examples:
      havre prune
      havre prune -y --log-days 7
      havre prune --build-cache
      havre prune --json
    """
    servers, wanted = open_servers(chosen), Wanted(log_days=log_days, build_cache=build_cache)
    proposed = [propose_prune(server, wanted) for server in servers]
    if as_json and not yes:
        show_json({"removed": False, **_summary(proposed)})
        return 0
    if not as_json:
        _show(proposed)
    if all(one.is_empty for one in proposed):
        if as_json:
            show_json({"removed": True, **_summary(proposed)})
        return 0
    confirm(servers[0], yes=yes, what=f"Remove them from {servers[0].machine}?")
    tell = (lambda _: None) if as_json else say
    done = [prune(server, one, wanted, tell=tell) for server, one in zip(servers, proposed, strict=True)]
    if as_json:
        show_json({"removed": True, **_summary(done)})
    else:
        say(f"{show_bytes(sum(one.size for one in done))} came free at least", bold=True)
    return 0


def _disks(servers: tuple[Server, ...]) -> list[Disk]:
    found = {disk.path: disk for server in servers for disk in look_at_server(server).disks}
    return list(found.values())


def _show(proposed: list[Pruning]) -> None:
    for held in sorted({held for one in proposed for held in one.held}):
        say(f"{held}: a command holds it now, so nothing of it is touched", colour="yellow")
    removals = [removal for one in proposed for removal in one.removals]
    leftovers = [leftover for one in proposed for leftover in one.leftovers]
    if not removals and not leftovers:
        say(wrapped(f"nothing to remove. {_STAYS}"))
        return
    rows = [(show_bytes(r.stored.size), r.stored.kind.value, r.stored.name, r.why) for r in removals]
    rows += [("-", "leftover", f"{one.instance}: {one}", "failed, and was kept for its logs") for one in leftovers]
    show_table(("SIZE", "KIND", "WHAT", "WHY"), rows)
    size = sum(one.size for one in proposed)
    count = len(removals) + len(leftovers)
    say(
        wrapped(f"{count} thing{'' if count == 1 else 's'}; {show_bytes(size)} come free at least. {_STAYS}"), bold=True
    )


def _summary(found: list[Pruning]) -> dict[str, object]:
    removals = [{**_as_dict(removal.stored), "why": removal.why} for one in found for removal in one.removals]
    return {
        "bytes": sum(one.size for one in found),
        "removals": removals,
        "leftovers": [leftover for one in found for leftover in one.leftovers],
        "held": sorted({held for one in found for held in one.held}),
    }


def _as_dict(one: Stored) -> dict[str, object]:
    return {
        "kind": one.kind.value, "name": one.name, "id": one.id, "instance": one.instance, "bytes": one.size,
    }  # fmt: skip
