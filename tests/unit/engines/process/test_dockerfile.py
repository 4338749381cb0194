"""What a Dockerfile says about running its image."""

from __future__ import annotations

from havre.engines.process.dockerfile import read_recipe

PYTHON = """\
# syntax=docker/dockerfile:1
FROM python:3.11-slim AS base
ARG PORT=8000
WORKDIR /srv
ENV MODE=prod GREETING="hello you" \\
    # a comment in between
    DEBUG=0
FROM base AS build
RUN make
FROM base
WORKDIR web
EXPOSE $PORT 9000/tcp 53/udp
HEALTHCHECK --interval=5s CMD ["curl", "-f", "http://localhost:8000/"]
CMD ["python", "-m", "web"]
"""


def test_the_last_stage_with_what_it_inherits() -> None:
    recipe = read_recipe(PYTHON)
    assert recipe.workdir == "/srv/web"
    assert recipe.environment == (("MODE", "prod"), ("GREETING", "hello you"), ("DEBUG", "0"))
    assert recipe.ports == (8000, 9000)
    assert recipe.command == ("python", "-m", "web")
    assert recipe.health == ("CMD", "curl", "-f", "http://localhost:8000/")


def test_a_target_ends_at_its_stage() -> None:
    recipe = read_recipe(PYTHON, target="build")
    assert (recipe.workdir, recipe.command) == ("/srv", ())


def test_build_arguments_win_over_defaults() -> None:
    assert read_recipe(PYTHON, {"PORT": "7000"}).ports == (7000, 9000)


def test_shell_forms() -> None:
    recipe = read_recipe(
        "FROM x\nENTRYPOINT exec app\nCMD serve --all\nENV OLD style value\nHEALTHCHECK CMD test -f /ok\n"
    )
    assert recipe.entrypoint == ("/bin/sh", "-c", "exec app")
    assert recipe.command == ("/bin/sh", "-c", "serve --all")
    assert recipe.environment == (("OLD", "style value"),)
    assert recipe.health == ("CMD-SHELL", "test -f /ok")


def test_an_entrypoint_forgets_the_inherited_command() -> None:
    assert read_recipe('FROM a AS one\nCMD ["old"]\nFROM one\nENTRYPOINT ["new"]\n').command == ()


def test_without_instructions_the_application_is_in_app() -> None:
    assert read_recipe("FROM scratch\n").workdir == "/app"


def test_health_none_is_no_check() -> None:
    assert read_recipe("FROM a\nHEALTHCHECK NONE\n").health is None
