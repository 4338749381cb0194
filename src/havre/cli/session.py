"""Construct the concrete things: state, engine, edge and keys for what the command line chose; nothing else does."""

from __future__ import annotations

import os
import platform
import pwd
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from havre.cli.options import Chosen
from havre.compose import LoadedProject
from havre.compose.lower import lower
from havre.engines.base import Engine
from havre.errors import Problem, Severity, UnavailableError
from havre.host.home import home_directory
from havre.model.app import App, ProcessSpec
from havre.model.project import Project
from havre.store.instances import KnownInstance
from havre.store.state import State, default_directory
from havre.workflows.intent import (
    Intent,
    Wish,
    load_and_list_missing,
    load_compose,
    read_app,
    read_intent,
)
from havre.workflows.server import Server, Traffic

if TYPE_CHECKING:
    from havre.engines.docker.engine import DockerEngine
    from havre.secrets.vault import Vault


def environment() -> Mapping[str, str]:
    """The process environment: read here, once, and passed down."""
    return dict(os.environ)  # noqa: TID251 - the one place


def load(chosen: Chosen, *, strict: bool = True) -> Intent:
    """The manifest and Compose files; raises InputError with every problem."""
    wish = _wish(chosen)
    app = read_app(wish)
    return read_intent(_with_secrets(chosen, wish, app), app, strict=strict)


def load_normal_form(chosen: Chosen, *, resolve: bool = True) -> LoadedProject:
    """The Compose files alone, unset variables left blank with a warning."""
    wish = _wish(chosen)
    app = read_app(wish)
    return load_compose(_with_secrets(chosen, wish, app), app, strict=False, resolve=resolve)


def load_unset(chosen: Chosen) -> tuple[LoadedProject, tuple[str, ...]]:
    """The Compose files alone, and the required variables that have no value, which stand in as their own names."""
    wish = _wish(chosen)
    app = read_app(wish)
    return load_and_list_missing(_with_secrets(chosen, wish, app), app)


def load_for_init(chosen: Chosen, name: str | None) -> tuple[App, Project, LoadedProject]:
    """The Compose files where no manifest is written yet."""
    wish = _wish(chosen)
    guessed = read_app(wish, manifest=False)
    app = replace(guessed, name=name or guessed.name)
    loaded, _ = load_and_list_missing(wish, app)
    return app, lower(loaded, instance=app.instance), loaded


def known_values(chosen: Chosen, app: App) -> Mapping[str, str]:
    """What the app's env files (or `.env`) and the environment say now, the environment last."""
    from havre.compose.dotenv import parse_env

    values: dict[str, str] = {}
    for file in chosen.env_files or app.env_files or (".env",):
        path = Path(app.directory) / file
        if path.is_file():
            values.update({one.name: one.value for one in parse_env(path.read_text(), values.get, values.get)})
    return {**values, **environment()}


def open_vault(chosen: Chosen, instance: str) -> Vault:
    """The sealed secrets of an instance."""
    from havre.workflows.secrets import vault_of

    return vault_of(open_state(chosen), instance)


def load_app(chosen: Chosen) -> App:
    """The manifest alone."""
    return read_app(_wish(chosen))


def open_instance(chosen: Chosen) -> tuple[Server, str]:
    """The server and the instance's name, for commands that do not need the Compose files."""
    app = load_app(chosen)
    return open_server(chosen, app), app.instance


def open_server(chosen: Chosen, app: App) -> Server:
    """Everything a workflow needs, for this app."""
    state = open_state(chosen)
    return _server(state, open_engine(chosen, app, state))


def open_known(state: State, known: KnownInstance) -> Server:
    """Everything a workflow needs for an instance that was deployed, wherever its files are now."""
    return _server(state, _process((), state) if known.engine == "process" else _docker())


def _server(state: State, engine: Engine) -> Server:
    return Server(
        state=state,
        engine=engine,
        traffic=open_edge(state),
        seal=partial(_seal, state),
        unseal=partial(_unseal, state),
        who=person(),
        machine=platform.node() or "this server",
    )


def open_servers(chosen: Chosen) -> tuple[Server, ...]:
    """The server as a whole, without an app: once for each engine that its instances were deployed with."""
    used = {known.engine for known in open_state(chosen).instances.list()}
    names: list[str | None] = [chosen.engine] if chosen.engine else [*sorted(used)] or [None]
    return tuple(open_server(replace(chosen, engine=name), App(name="")) for name in names)


def open_state(chosen: Chosen) -> State:
    """The state directory."""
    variables = environment()
    return State(
        default_directory(
            is_root=os.geteuid() == 0,
            home=home_directory(),
            override=chosen.state or variables.get("HAVRE_STATE"),
        )
    )


def open_engine(chosen: Chosen, app: App, state: State) -> Engine:
    """The engine asked for; without a wish docker where it answers, else process (and it is said which)."""
    wanted = chosen.engine or app.engine or _deployed_with(app, state)
    if wanted == "process":
        return _process(app.processes, state)
    docker = _docker()
    if wanted == "docker" or _answers(docker):
        return docker
    return _process(app.processes, state)


def engine_found(chosen: Chosen, app: App, server: Server) -> Problem | None:
    """What to say where nobody named an engine and Docker was not there to be taken; None otherwise."""
    if server.engine.name != "process" or chosen.engine or app.engine or _deployed_with(app, server.state):
        return None
    if refused := _refused_to_this_user(_docker()):
        return refused
    return Problem(
        summary="no Docker Engine answers here, so the services run as processes of this server",
        subject=app.instance,
        severity=Severity.NOTE,
        hint="nothing to do; to decide it yourself: `--engine`, or `engine:` in havre.yaml",
        code="engine-process",
    )


def _refused_to_this_user(docker: DockerEngine) -> Problem | None:
    """An engine is there, and this user may not use it: seldom what was meant."""
    try:
        docker.describe()
    except UnavailableError as error:
        (problem,) = error.problems
        if problem.code == "docker-permission":
            effect = "the services run as processes of this server; `engine: process` in havre.yaml says you mean it"
            return replace(problem, effect=effect, severity=Severity.WARNING)
    return None


def engines_here(state: State) -> tuple[Engine, ...]:
    """Every engine of this server that answers, or that some app was deployed with."""
    from havre.engines.process.engine import ProcessEngine

    docker = _docker()
    used = {known.engine for known in state.instances.list()}
    here: list[Engine] = [docker] if _answers(docker) else []
    return (*here, ProcessEngine(state.processes)) if "process" in used else tuple(here)


def open_edge(state: State) -> Traffic:
    """The server's edge, with this server's settings."""
    from havre.cli.edge import edge_for

    return edge_for(state)


def _docker() -> DockerEngine:
    from havre.engines.docker.engine import DockerEngine

    return DockerEngine(host=environment().get("DOCKER_HOST"))


def _deployed_with(app: App, state: State) -> str | None:
    """The engine that this instance was deployed with: later commands look there."""
    known = (known for known in state.instances.list() if known.instance == app.instance)
    return next((instance.engine for instance in known), None)


def _answers(docker: DockerEngine) -> bool:
    try:
        docker.describe()
    except UnavailableError:
        return False
    return True


def _process(processes: Sequence[ProcessSpec], state: State) -> Engine:
    from havre.engines.process.engine import ProcessEngine

    return ProcessEngine(state.processes, processes=processes)


def _seal(state: State, content: bytes) -> bytes:
    from havre.secrets.sealing import seal

    return seal(state.keys, content)


def _unseal(state: State, content: bytes) -> bytes:
    from havre.secrets.sealing import unseal

    return unseal(state.keys, content)


def _wish(chosen: Chosen) -> Wish:
    return Wish(
        manifest=chosen.manifest,
        environment=chosen.environment,
        compose=chosen.compose,
        env_files=chosen.env_files,
        profiles=chosen.profiles,
        engine=chosen.engine,
        variables=environment(),
    )


def _with_secrets(chosen: Chosen, wish: Wish, app: App) -> Wish:
    """The instance's own secrets win over the environment and every env file."""
    from havre.workflows.secrets import values_of

    return replace(wish, variables={**wish.variables, **values_of(open_state(chosen), app)})


def person() -> str:
    """Who is at the keyboard, behind sudo too, for records."""
    variables = environment()
    return variables.get("SUDO_USER") or variables.get("USER") or _login_name(os.getuid())


def _login_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
