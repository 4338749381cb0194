"""`havre init`: a first havre.yaml, and the secrets that can be made here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from havre.checks.placeholders import placeholder
from havre.cli.options import Chosen, app_options
from havre.cli.session import known_values, load_for_init, open_vault
from havre.cli.show import say, wrapped
from havre.compose import VariableUse
from havre.errors import Problem, RefusedError
from havre.host.files import write_atomic
from havre.manifest.infer import app_name, infer_manifest, infer_secrets
from havre.model.app import App
from havre.workflows.check import look_at_files
from havre.workflows.compose_files import named_files


@click.command("init")
@click.option("--name", metavar="NAME", help="The app's name [default: the Compose project's, or the directory's].")
@click.option("--force", is_flag=True, help="Overwrite a havre.yaml that is there.")
@click.option("--print", "only_print", is_flag=True, help="Print the manifest instead of writing it.")
@click.option("--no-secrets", is_flag=True, help="Do not generate the secrets that have no value yet.")
@app_options
def init_command(chosen: Chosen, name: str | None, force: bool, only_print: bool, no_secrets: bool) -> None:
    """Write a first havre.yaml from the Compose files here, or the Procfile: routes, migration, backups, secrets,
    each with why.

    Secrets that can be made on this server are generated (64 hex characters) and sealed in its store; those that
    somebody else issues are listed for you to set.

    \b
    Examples:
      havre init
      havre init -c docker-compose.prod.yml --env-file .env.prod --print
    """
    path = Path(chosen.manifest or "havre.yaml")
    if path.exists() and not force and not only_print:
        raise RefusedError(_exists(path))
    app, project, loaded = load_for_init(chosen, name)
    text = infer_manifest(
        project,
        app=app.name,
        compose=chosen.compose or named_files(app),
        env_files=chosen.env_files,
        variables=loaded.variables,
        builds=look_at_files(app, project).builds,
    )
    if only_print:
        click.echo(text, nl=False)
        return
    write_atomic(path, text)
    say(f"wrote {path}", bold=True)
    if not no_secrets:
        _make_secrets(chosen, app, loaded.variables)
    say("next: read it, then `havre check` and `havre plan`")


def _make_secrets(chosen: Chosen, app: App, variables: Mapping[str, VariableUse]) -> None:
    """Only for those without a value of their own: a password that a database already has is left alone."""
    values = known_values(chosen, app)
    unset = [secret for secret in infer_secrets(variables) if placeholder(values.get(secret.name, ""))]
    mine = [secret.name for secret in unset if secret.can_generate]
    made = open_vault(chosen, app_name(app.name)).generate(mine) if mine else ()
    if made:
        say(wrapped(f"generated and sealed (they stand over the env file): {', '.join(made)}"))
    others = [secret.name for secret in unset if not secret.can_generate]
    if others:
        say(wrapped(f"issued by others, set them with `havre secrets set NAME`: {', '.join(others)}"))


def _exists(path: Path) -> Problem:
    return Problem(
        summary=f"{path} is there already",
        hint="edit it, see what would be written with `havre init --print`, or overwrite it with --force",
        code="manifest-exists",
    )
