"""`havre recover-server`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from havre.backups.opening import open_repository
from havre.backups.vault import Destination, repository_key_from
from havre.cli.deploy import confirm_here
from havre.cli.options import Chosen, app_options, json_option, yes_option
from havre.cli.session import environment, load, open_server, open_state
from havre.cli.show import say, show_json
from havre.host import clock
from havre.model.units import show_seconds
from havre.workflows.app_record import Recovery
from havre.workflows.recover_server import fetch, revive, storage_variables, wanted
from havre.workflows.storage import Storage


@click.command("recover-server")
@click.option("--repository", "url", required=True, metavar="URL", help="Where the backups are.")
@click.option(
    "--key-file", required=True, type=click.Path(exists=True, path_type=Path), help="What `export-key` wrote."
)
@click.option("--instance", metavar="NAME", help="Which app, where the repository holds several.")
@click.option("--directory", type=click.Path(path_type=Path), help="Where its files go [default: where they were].")
@yes_option
@json_option
@app_options
def recover_server_command(
    chosen: Chosen, url: str, key_file: Path, instance: str | None, directory: Path | None, yes: bool, as_json: bool
) -> None:
    """Bring an app back on an empty server: its files, key, secrets and data, from the repository alone.

    When it fails in the middle, the same command goes on from there.

    Storage credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) are read from the environment.

    \b
    Example:
      havre recover-server --repository s3:https://s3.example.org/backups --key-file recovery.txt
    """
    started, state, variables = clock.elapsed(), open_state(chosen), environment()
    key = repository_key_from(key_file.read_text())
    destination = Destination(url=url, password=key, environment=storage_variables(variables))
    repository = open_repository(destination, state=state.directory, variables=variables)
    recovery = wanted(repository, state, instance, directory=directory)
    confirm_here(yes=yes, what=_asked(recovery))
    record = fetch(repository, state, instance, directory=directory)
    progress = (lambda _: None) if as_json else say
    progress(f"{record.instance} of {record.machine}, kept {clock.show_time(record.at)}, is back in {record.directory}")
    found = replace(
        chosen, manifest=str(Path(record.directory) / Path(record.manifest).name), environment=record.environment
    )
    intent = load(found)
    server = open_server(found, intent.app)
    storage = Storage(server=server, variables=variables)
    storage.vault.adopt(key)
    revived = revive(storage, intent, record, url, started=started, progress=progress)
    if as_json:
        show_json(revived)
        return
    for restored in revived.restored:
        say(f"  {restored.source}: {'; '.join(restored.verified)}")
    say(f"{record.instance} is back after {show_seconds(revived.seconds)} (RTO)", bold=True, colour="green")


def _asked(recovery: Recovery) -> str:
    record = recovery.record
    if recovery.fetched:
        return f"Go on with the recovery of {record.instance} in {record.directory}?"
    kept = f"as it was kept {clock.show_time(record.at)}"
    return f"Put {record.instance} back into {record.directory} {kept}, deploy it here and restore its data?"
