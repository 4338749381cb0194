"""`havre config`: the Compose files in their normal form, and where a value came from."""

from __future__ import annotations

import click

from havre.cli.options import Chosen, app_options
from havre.cli.session import load_normal_form
from havre.cli.show import say, show_json, show_problem
from havre.compose import VariableUse
from havre.compose.explain import explain, masked_model
from havre.compose.format import to_json, to_yaml


@click.command("config")
@click.option("--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", help="[default: yaml]")
@click.option("--resolve/--no-resolve", default=True, help="Fill in ${...}, or leave it as written.")
@click.option("--explain", "key", metavar="KEY", help="Say which file, line and variable a value came from.")
@click.option("--services", is_flag=True, help="Only the names of the services.")
@click.option("--variables", is_flag=True, help="Only the variables that the files use, and where each gets its value.")
@click.option("--show-secrets", is_flag=True, help="Do not mask values that look secret.")
@click.option("-q", "--quiet", is_flag=True, help="Only say what is wrong.")
@app_options
def config_command(
    chosen: Chosen,
    form: str,
    resolve: bool,
    key: str | None,
    services: bool,
    variables: bool,
    show_secrets: bool,
    quiet: bool,
) -> None:
    """Print the Compose files as one project: merged, interpolated, every default filled in.

    \b
    Examples:
      havre config
      havre config --explain services.web.environment.DATABASE_URL
      havre config --no-resolve --format json
    """
    loaded = load_normal_form(chosen, resolve=resolve)
    for problem in loaded.warnings:
        show_problem(problem)
    if quiet:
        return
    if key:
        for explanation in explain(loaded, key):
            say(str(explanation))
    elif services:
        for name in loaded.model.get("services", {}):
            say(name)
    elif variables:
        show_json({name: _source(use) for name, use in sorted(loaded.variables.items())})
    else:
        model = loaded.model if show_secrets else masked_model(loaded)
        printer = to_json if form == "json" else to_yaml
        click.echo(printer(model, interpolated=resolve), nl=False)


def _source(use: VariableUse) -> dict[str, object]:
    return {
        "source": use.source,
        "at": str(use.at) if use.at else None,
        "places": [str(place) for place in use.places],
    }
