"""`havre promote`: the images that serve in one environment, deployed in another."""

from __future__ import annotations

import sys
from dataclasses import replace

import click

from havre.cli.deploy import release_as_proposed
from havre.cli.options import Chosen, app_options, json_option, wait_option, yes_option
from havre.cli.recover import settle_first
from havre.cli.session import load, load_app, open_server
from havre.cli.show import say
from havre.model.release import Release
from havre.workflows.check import check
from havre.workflows.promote import propose_promotion, release_to_promote
from havre.workflows.transfer import Origin, fetch_release


@click.command("promote")
@click.argument("source")
@click.argument("target", required=False)
@click.option("--release", "number", type=int, metavar="N", help="A release of SOURCE [default: the one that serves].")
@click.option(
    "--from", "origin", metavar="PLACE", help="Where SOURCE is: USER@HOST (by ssh), an archive, or - (standard input)."
)
@click.option("--remote-havre", default="havre", metavar="PATH", help="The `havre` program on that host.")
@yes_option
@wait_option
@json_option
@app_options
def promote_command(
    chosen: Chosen,
    source: str,
    target: str | None,
    number: int | None,
    origin: str | None,
    remote_havre: str,
    yes: bool,
    wait: float,
    as_json: bool,
) -> None:
    """Deploy the images that serve in environment SOURCE in TARGET [default: production], without building.

    Images alone are taken over: TARGET keeps its own configuration, secrets, routes, migration and verification,
    and what fails is undone as in any release. `havre diff SOURCE TARGET` shows beforehand what differs.

    From another server, images come by ssh or as an archive; what is here already is not sent again. They are
    loaded before the plan is shown; nothing runs differently for it.

    \b
    Examples:
      havre promote staging                      what staging runs, in production
      havre promote staging --release 12
      havre promote staging --from deploy@staging.example.org
      havre export release -e staging > s.tar    there; then here:
      havre promote staging --from s.tar
    """
    chosen = replace(chosen, environment=_target(chosen, target))
    if origin == "-" and not yes:
        raise click.UsageError("standard input carries the archive and cannot answer: give --yes")
    staged = load_app(replace(chosen, environment=source)).instance
    intent = load(chosen)
    server = open_server(chosen, intent.app)
    settle_first(server, intent.app.instance, wait=wait, quiet=as_json)
    if origin is None:
        release = release_to_promote(server, staged, number)
    else:
        place = Origin(place=origin, program=remote_havre, standard_input=sys.stdin.buffer)
        release = fetch_release(server, place, source=staged, target=intent.app.instance, number=number)
    proposal = propose_promotion(server, intent, release, check=check)
    if not as_json:
        say(f"images of {proposal.choices.promoted_from}, built from commit {_commit(release)}", bold=True)
    release_as_proposed(server, proposal, ask="Promote on", yes=yes, wait=wait, as_json=as_json)


def _target(chosen: Chosen, target: str | None) -> str | None:
    if target and chosen.environment and target != chosen.environment:
        raise click.UsageError(f"two targets: {target}, and --environment {chosen.environment}")
    return target or chosen.environment


def _commit(release: Release) -> str:
    return f"{release.commit or 'unknown'}{' with local changes' if release.dirty else ''}"
