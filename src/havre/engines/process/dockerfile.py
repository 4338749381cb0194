"""What a Dockerfile says about running its image: the last stage's directory, variables, port and command."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The run-time facts of an image; a command in shell form is `("/bin/sh", "-c", LINE)`."""

    base: str = ""
    """The image that all of it rests on (`node:20-alpine`)."""
    workdir: str = "/app"
    environment: tuple[tuple[str, str], ...] = ()
    ports: tuple[int, ...] = ()
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    health: tuple[str, ...] | None = None


def read_recipe(text: str, arguments: Mapping[str, str] | None = None, target: str | None = None) -> Recipe:
    """The recipe of the stage `target`, or of the last one; stages built on another stage inherit from it."""
    stages: dict[str, Recipe] = {}
    variables = dict(arguments or {})
    recipe, name = Recipe(), ""
    for word, rest in _instructions(text):
        if word == "FROM":
            stages[name] = recipe
            if name and name == target:
                break
            base, name = _stage(_expanded(rest, variables), len(stages))
            recipe = stages.get(base, Recipe(base=base))
        elif word == "ARG":
            key, _, default = rest.partition("=")
            variables.setdefault(key.strip(), default.strip().strip("\"'"))
        else:
            recipe = _applied(recipe, word, rest, {**variables, **dict(recipe.environment)})
    stages[name] = recipe
    return stages.get(target or name, recipe)


def _applied(recipe: Recipe, word: str, rest: str, variables: Mapping[str, str]) -> Recipe:
    match word:
        case "WORKDIR":
            path = _expanded(rest, variables).strip("\"'")
            return replace(recipe, workdir=path if path.startswith("/") else f"{recipe.workdir.rstrip('/')}/{path}")
        case "ENV":
            known = dict(recipe.environment) | dict(_pairs(_expanded(rest, variables)))
            return replace(recipe, environment=tuple(known.items()))
        case "EXPOSE":
            words = [port.partition("/") for port in _expanded(rest, variables).split()]
            ports = [int(port) for port, _, protocol in words if port.isdigit() and protocol in {"", "tcp"}]
            return replace(recipe, ports=tuple(dict.fromkeys([*recipe.ports, *ports])))
        case "CMD":
            return replace(recipe, command=_argv(rest))
        case "ENTRYPOINT":
            return replace(recipe, entrypoint=_argv(rest), command=())
        case "HEALTHCHECK":
            return replace(recipe, health=_health(rest))
        case _:
            return recipe


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    joined = re.sub(r"\\[ \t]*\n(?:[ \t]*#[^\n]*\n)*", " ", text)
    for line in joined.splitlines():
        found = re.match(r"\s*([A-Za-z]+)\s+(.*\S)", line)
        if found:
            yield found[1].upper(), found[2]


def _stage(rest: str, number: int) -> tuple[str, str]:
    words = [word for word in rest.split() if not word.startswith("--")]
    named = len(words) >= 3 and words[1].upper() == "AS"
    return words[0], words[2] if named else f"stage {number}"


def _argv(rest: str) -> tuple[str, ...]:
    if rest.startswith("["):
        try:
            return tuple(str(word) for word in json.loads(rest))
        except ValueError:
            pass  # not the exec form after all: Docker takes it as a shell line too
    return ("/bin/sh", "-c", rest)


def _health(rest: str) -> tuple[str, ...] | None:
    found = re.search(r"(?:^|\s)(NONE|CMD\s+(.*))$", rest)
    if not found or found[1] == "NONE":
        return None
    argv = _argv(found[2])
    return ("CMD-SHELL", argv[2]) if argv[:2] == ("/bin/sh", "-c") else ("CMD", *argv)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    first = text.split(None, 1)
    if "=" not in first[0]:
        yield first[0], first[1] if len(first) > 1 else ""
        return
    for word in shlex.split(text):
        key, _, value = word.partition("=")
        yield key, value


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        return variables.get(name) or found[3] or ""

    return re.sub(r"\$(?:(\w+)|\{(\w+)(?::-([^}]*))?\})", value, text)
