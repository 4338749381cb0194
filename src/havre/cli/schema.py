"""`havre schema`."""

from __future__ import annotations

import click

from havre.manifest.schema import schema_text


@click.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of havre.yaml, for editors that check while you type.

    \b
    Example:
      havre schema > havre.schema.json
    """
    click.echo(schema_text(), nl=False)
