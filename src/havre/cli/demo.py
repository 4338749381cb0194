"""`havre demo`: the example on this machine, and the story of a release, a refusal and a rollback in under a minute."""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path

import click

from havre.cli.deploy import show_release
from havre.cli.options import Chosen
from havre.cli.progress import Progress
from havre.cli.ps import show_status
from havre.cli.session import environment, load, open_server
from havre.cli.show import is_terminal, say, show_problem, wrapped
from havre.errors import FailedError
from havre.host import clock
from havre.host.home import home_directory
from havre.model.release import Release
from havre.model.units import show_seconds
from havre.secrets.vault import random_value
from havre.store.state import default_directory
from havre.workflows.demo import prepare, set_variable
from havre.workflows.deploy import apply, propose
from havre.workflows.down import take_down
from havre.workflows.load import Load
from havre.workflows.recover import recover
from havre.workflows.rollback import propose_rollback
from havre.workflows.server import Server
from havre.workflows.status import look

HOST = "lexikon.localhost"
SECRETS = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "JWT_SECRET", "API_KEY_SECRET")


@click.command("demo")
@click.option("--stop", is_flag=True, help="Remove the demo: its processes, its data, its directory.")
@click.option("--engine", type=click.Choice(["process", "docker"]), default="process", help="[default: process]")
@click.option("--directory", metavar="DIR", help="Where the demo lives [default: beside Havre's own].")
def demo_command(stop: bool, engine: str, directory: str | None) -> None:
    """Deploy the example application on this machine and show the story: a first release, a second one under
    load, a bad one that is refused while the old one serves, and a rollback.

    Nothing is written outside the demo's directory, and the application is left running to look at.

    \b
    Examples:
      havre demo
      havre demo --stop
    """
    ground = Path(directory).absolute() if directory else _default_directory()
    if stop:
        _stop(ground, engine)
        return
    began = clock.elapsed()
    app, port = prepare(ground, {name: random_value() for name in SECRETS})
    chosen = _chosen(app, ground, engine)
    server = open_server(chosen, load(chosen).app)
    say(f"The example runs on: {server.engine.describe()}")
    recover(server, "lexikon")
    _first_release(server, chosen, app, port)
    _second_release(server, chosen, app, port)
    _refused_release(server, chosen, app, port)
    _rollback(server, port)
    _end(server, port, clock.elapsed() - began)


def _first_release(server: Server, chosen: Chosen, app: Path, port: int) -> None:
    _title("1. A first release: PostgreSQL, Redis, a FastAPI backend and a Node frontend")
    set_variable(app, "APP_VERSION", "1.0.0")
    set_variable(app, "UVICORN_WORKERS", "1")
    release = _deploy(server, chosen)
    if release:
        show_release(release)
    _register(port)
    show_status(look(server, "lexikon"))


def _second_release(server: Server, chosen: Chosen, app: Path, port: int) -> None:
    _title("2. A second release, while visitors keep coming")
    set_variable(app, "APP_VERSION", "2.0.0")
    with _load(port) as load_:
        release = _deploy(server, chosen)
    if release:
        show_release(release)
    _show_load(load_)
    say(f"the API says: {_ask(port, '/api/version')}")


def _refused_release(server: Server, chosen: Chosen, app: Path, port: int) -> None:
    _title("3. A broken release: the backend's UVICORN_WORKERS is set to `many`")
    set_variable(app, "UVICORN_WORKERS", "many")
    with _load(port) as load_:
        try:
            _deploy(server, chosen)
        except FailedError as error:
            for problem in error.problems:
                show_problem(problem, error=False)
    _show_load(load_)
    say(f"still serving: {_ask(port, '/api/version')}")
    set_variable(app, "UVICORN_WORKERS", "1")


def _rollback(server: Server, port: int) -> None:
    _title("4. Back to the first release: its configuration, not today's")
    with _load(port) as load_, Progress(live=is_terminal()) as progress:
        release = apply(server, propose_rollback(server, "lexikon"), witnesses=[progress])
    show_release(release)
    _show_load(load_)
    say(f"the API says: {_ask(port, '/api/version')}")


def _end(server: Server, port: int, took: float) -> None:
    _title(f"That took {show_seconds(took)}")
    show_status(look(server, "lexikon"))
    say(f"look at it: http://{HOST}:{port}/", bold=True)
    say("remove it:  make demo-stop (which is `havre demo --stop`)", bold=True)


def _deploy(server: Server, chosen: Chosen) -> Release | None:
    proposal = propose(server, load(chosen))
    if proposal.plan.is_empty:
        say("nothing to do: it runs already")
        return None
    with Progress(live=is_terminal()) as progress:
        return apply(server, proposal, witnesses=[progress], progress=progress.line if is_terminal() else _quiet)


def _stop(ground: Path, engine: str) -> None:
    if not (ground / "app").is_dir():
        say(f"there is no demo in {ground}")
        return
    chosen = _chosen(ground / "app", ground, engine)
    server = open_server(chosen, load(chosen).app)
    take_down(server, "lexikon", every_volume=True)
    server.shut_down()
    shutil.rmtree(ground)
    say(f"the demo is gone, with {ground}")


def _chosen(app: Path, ground: Path, engine: str) -> Chosen:
    return Chosen(manifest=str(app / "havre.yaml"), engine=engine, state=str(ground / "state"))


def _default_directory() -> Path:
    import os

    variables = environment()
    state = default_directory(is_root=os.geteuid() == 0, home=home_directory(), override=variables.get("HAVRE_STATE"))
    return state.with_name(f"{state.name}-demo")


def _register(port: int) -> None:
    person = {
        "email": f"ada-{clock.now():.0f}@example.org",
        "password": "Lovelace1815!",
        "first_name": "Ada",
        "last_name": "L",
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/auth/register",
        data=json.dumps(person).encode(),
        headers={"Content-Type": "application/json", "Host": HOST},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        say(f"registered {person['email']} through the edge: {answer.status} {answer.read().decode()}")


def _ask(port: int, path: str) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": HOST})
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        body: bytes = answer.read()
        return body.decode()


def _load(port: int) -> Load:
    return Load(address="127.0.0.1", port=port, host=HOST, paths=("/", "/api/version", "/health"))


def _show_load(load_: Load) -> None:
    failed = len(load_.failures)
    text = f"{load_.requests} requests meanwhile, {failed} failed, slowest {load_.slowest * 1000:.0f} ms"
    say(text, bold=True, colour="red" if failed else "green")
    for failure in load_.failures[:5]:
        say(f"  {failure}")


def _title(text: str) -> None:
    say()
    say(wrapped(text), bold=True)


def _quiet(_: str) -> None:
    """Build output is not part of the story where nobody watches."""
