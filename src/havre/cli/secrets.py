"""`havre secrets`: sealed values on this server; shown by name and age, never by value."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TextIO

import click

from havre.checks.placeholders import placeholder
from havre.cli.options import Chosen, app_options, json_option, wait_option, yes_option
from havre.cli.session import (
    known_values,
    load,
    load_app,
    load_unset,
    open_server,
    open_state,
    open_vault,
    person,
)
from havre.cli.show import say, show_json, show_table
from havre.host import clock
from havre.model.units import show_seconds
from havre.secrets.escrow import confirm_escrow, read_escrow
from havre.secrets.sealing import export_key, import_key
from havre.secrets.sources import import_env_file
from havre.secrets.vault import Vault
from havre.workflows.secrets import names_to_generate


@click.group("secrets")
def secrets_command() -> None:
    """Keep an app's secrets sealed on this server (age), and hand them to its services at deploy.

    \b
    Examples:
      havre secrets generate              every secret of the Compose files that has no value
      havre secrets set STRIPE_KEY        asks for the value; or: … < file
      havre secrets import .env.prod
      havre secrets export-key > KEY      keep it elsewhere, then: havre secrets confirm-key KEY
    """


@secrets_command.command("list")
@json_option
@app_options
def list_command(chosen: Chosen, as_json: bool) -> None:
    """Names, where each came from, and how old it is."""
    found = _vault(chosen).list()
    if as_json:
        show_json(found)
        return
    if not found:
        say("no secrets yet. Next: havre secrets generate")
        return
    now = clock.now()
    rows = [
        (one.name, one.origin, show_seconds(now - one.changed_at), "yes" if one.rotation_pending else "-")
        for one in found
    ]
    show_table(("NAME", "ORIGIN", "AGE", "ROTATING"), rows)


@secrets_command.command("generate")
@click.argument("names", nargs=-1)
@app_options
def generate_command(chosen: Chosen, names: tuple[str, ...]) -> None:
    """Make 64 random hex characters for each of NAMES that has no value; without NAMES, for every variable of
    the Compose files that must be secret and has none."""
    app = load_app(chosen)
    loaded, missing = (None, ()) if names or app.secrets else load_unset(chosen)
    wanted = names or names_to_generate(app, loaded, missing)
    values = known_values(chosen, app)
    elsewhere = [name for name in wanted if not placeholder(values.get(name, ""))]
    made = open_vault(chosen, app.instance).generate(name for name in wanted if name not in elsewhere)
    for name in elsewhere:
        say(f"{name} has a value in an env file already; keep that one with `havre secrets import`")
    for name in made:
        say(f"generated {name}")
    if not made:
        say("nothing to generate: every secret has a value")


@secrets_command.command("set")
@click.argument("name")
@app_options
def set_command(chosen: Chosen, name: str) -> None:
    """Keep a value, asked for without echo, or read from standard input."""
    value = click.prompt(name, hide_input=True) if sys.stdin.isatty() else sys.stdin.read().strip("\n")
    changed = _vault(chosen).put({name: value})
    say(f"{name} is kept; it reaches the services at the next deploy" if changed else f"{name} has that value already")


@secrets_command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--all", "every", is_flag=True, help="Every variable of the file, not only those whose name is secret.")
@app_options
def import_command(chosen: Chosen, file: str, every: bool) -> None:
    """Keep the secrets of an env file; placeholders in it are refused, all listed."""
    for name in import_env_file(_vault(chosen), Path(file), every=every):
        say(f"kept {name}")


@secrets_command.command("rotate")
@click.argument("name")
@yes_option
@wait_option
@app_options
def rotate_command(chosen: Chosen, name: str, yes: bool, wait: float) -> None:
    """Give a secret a new random value: in the running PostgreSQL or Redis it belongs to, and, in one release, in
    every service that uses it. When the release fails, the old value is brought back everywhere."""
    from havre.cli.deploy import carry_out, confirm
    from havre.workflows.check import check
    from havre.workflows.deploy import Choices, propose
    from havre.workflows.rotate import rotate

    server = open_server(chosen, load_app(chosen))
    confirm(server, yes=yes, what=f"Rotate {name} and release on {server.machine}?")
    rotation = rotate(
        server,
        _vault(chosen),
        name,
        load=lambda: load(chosen),
        release=lambda intent: carry_out(
            server, propose(server, intent, Choices(kind="rotate"), check=check), wait=wait
        ),
    )
    changed = ", ".join(holder.service for holder in rotation.holders)
    say(f"rotated {name}{f' in {changed}' if changed else ''}; release {rotation.release.number} passed it on")


@secrets_command.command("remove")
@click.argument("name")
@app_options
def remove_command(chosen: Chosen, name: str) -> None:
    """Forget a secret."""
    _vault(chosen).remove(name)
    say(f"forgot {name}")


@secrets_command.command("export-key")
@app_options
def export_key_command(chosen: Chosen) -> None:
    """Print this server's key: keep it elsewhere, without it no sealed secret can be opened.

    The backups have a key of their own: `havre backup export-key`.
    """
    click.echo(export_key(open_state(chosen).keys), nl=False)


@secrets_command.command("confirm-key")
@click.argument("file", type=click.File("r"))
@app_options
def confirm_key_command(chosen: Chosen, file: TextIO) -> None:
    """Show the copy of this server's key that you keep elsewhere; `havre secrets status` says since when."""
    escrow = confirm_escrow(open_state(chosen).keys, file.read(), by=person(), at=clock.now())
    say(f"confirmed: the copy opens what is sealed here ({escrow.public_key})")


@secrets_command.command("import-key")
@click.argument("file", type=click.File("r"))
@app_options
def import_key_command(chosen: Chosen, file: TextIO) -> None:
    """Make an exported key this server's own: on a new server, before anything is restored."""
    import_key(open_state(chosen).keys, file.read())
    say("this server uses that key now")


@secrets_command.command("status")
@app_options
def status_command(chosen: Chosen) -> None:
    """Say whether a copy of the key is known to be elsewhere."""
    escrow = read_escrow(open_state(chosen).keys)
    if escrow is None:
        say("nobody has shown yet that a copy of this server's key is kept elsewhere")
    else:
        say(f"{escrow.by} showed a copy of the key on {clock.show_time(escrow.at)}")


def _vault(chosen: Chosen) -> Vault:
    return open_vault(chosen, load_app(chosen).instance)
