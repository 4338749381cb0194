"""Options that many commands share, declared once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which app, in which environment, on which engine, with which state directory."""

    manifest: str | None = None
    environment: str | None = None
    engine: str | None = None
    state: str | None = None
    compose: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()


def app_options(function: Function) -> Function:
    """`-m`, `-e`, `-c`, `--env-file`, `--profile`, `--engine`, `--state`: given to the command as one `Chosen`."""

    @click.option(
        "-m",
        "--manifest",
        metavar="FILE",
        help="The manifest [default: havre.yaml, else the Compose files, here or in the nearest parent].",
    )
    @click.option("-e", "--environment", metavar="NAME", help="The environment of the manifest [default: production].")
    @click.option(
        "-c",
        "--compose-file",
        "compose",
        multiple=True,
        metavar="FILE",
        help="Compose file, not the manifest's; repeatable.",
    )
    @click.option("--env-file", "env_files", multiple=True, metavar="FILE", help="Env file for ${...}; repeatable.")
    @click.option("--profile", "profiles", multiple=True, metavar="NAME", help="Compose profile; repeatable.")
    @click.option(
        "--engine",
        type=click.Choice(["docker", "process"]),
        help="What runs the services [default: docker where it answers, else process].",
    )
    @click.option(
        "--state", metavar="DIR", envvar="HAVRE_STATE", help="Havre's own directory [default: /var/lib/havre as root]."
    )
    @wraps(function)
    def command(
        *,
        manifest: str | None,
        environment: str | None,
        compose: tuple[str, ...],
        env_files: tuple[str, ...],
        profiles: tuple[str, ...],
        engine: str | None,
        state: str | None,
        **rest: Any,
    ) -> Any:
        chosen = Chosen(
            manifest=manifest,
            environment=environment,
            engine=engine,
            state=state,
            compose=compose,
            env_files=env_files,
            profiles=profiles,
        )
        return function(chosen=chosen, **rest)

    return command  # type: ignore[return-value]


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask; needed where no terminal is there to answer.")
wait_option = click.option(
    "--wait", type=float, default=0.0, metavar="SECONDS", help="Wait this long for another release of the app to end."
)
