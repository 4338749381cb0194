"""Every command that a message, a help text or a page of the documentation names can be typed as it stands there."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from havre.cli.main import LazyGroup

ROOT = Path(__file__).resolve().parents[3]
NAMED = re.compile(r"`(?:[A-Z_]+=\S+ )*(havre [a-z][^`]*)`")
PLACEHOLDER = re.compile(r"\{[^{}]*\}")


def _texts_of(path: Path) -> Iterator[str]:
    """The texts of a module but its docstring; what is filled in stands as `X`."""
    tree = ast.parse(path.read_text())
    for node in (found for statement in tree.body[1:] for found in ast.walk(statement)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield PLACEHOLDER.sub("X", node.value)


def _named() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "src/havre").rglob("*.py")):
        for text in _texts_of(path):
            yield from ((str(path.relative_to(ROOT)), found) for found in NAMED.findall(" ".join(text.split())))
    for path in sorted((*(ROOT / "docs").rglob("*.md"), ROOT / "README.md")):
        yield from ((str(path.relative_to(ROOT)), found) for found in NAMED.findall(path.read_text()))


def _defect(line: str) -> str | None:
    """Why a command line cannot be typed; None when it can."""
    try:
        words = shlex.split(re.sub(r"(?<=[a-z])X\b", "", re.split(r"[|;>]", line)[0]))[1:]
    except ValueError:
        return "its quotes do not match"
    if words and words[0] in ("X", "COMMAND", "..."):
        return None
    command: click.Command | None = LazyGroup(name="havre")
    context = click.Context(click.Group("havre"))
    while isinstance(command, click.Group) and not (words and words[0].startswith("-")):
        found = command.get_command(context, words[0]) if words else None
        if found is not None:
            command, words = found, words[1:]
        elif "take" in getattr(command, "commands", {}):  # of `havre backup` it may be left out
            command = command.get_command(context, "take")
        elif words:
            return f"there is no {words[0]}"
        else:
            return None if command.invoke_without_command else "a subcommand is missing"
    assert command is not None
    return _unknown_argument(command, words) or _unknown_option(command, words)


def _unknown_argument(command: click.Command, words: list[str]) -> str | None:
    if not words or words[0].startswith("-") or words[0].isupper():
        return None
    argument = next((one for one in command.params if isinstance(one, click.Argument)), None)
    if argument is None:
        return f"it takes no {words[0]}"
    if isinstance(argument.type, click.Choice) and words[0] not in argument.type.choices:
        return f"{words[0]} is none of {', '.join(argument.type.choices)}"
    return None


def _unknown_option(command: click.Command, words: list[str]) -> str | None:
    known = {option for one in command.params for option in one.opts + one.secondary_opts} | {"--help"}
    may_mix = command.context_settings.get("allow_interspersed_args", True)
    own = words if may_mix else itertools.takewhile(lambda word: word.startswith("-"), words)
    options = (word.partition("=")[0] for word in own if word.startswith("--") and word != "--")
    return next((f"there is no {option}" for option in options if option not in known), None)


def test_every_command_that_is_named_can_be_typed() -> None:
    wrong = [f"{place}: `{line}`: {defect}" for place, line in sorted(set(_named())) if (defect := _defect(line))]
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "defect"),
    [
        ("havre certs --renewal", "there is no --renewal"),
        ("havre edge start", "start is none of status, restart, stop"),
        ("havre nothing", "there is no nothing"),
        ("havre secrets", "a subcommand is missing"),
        ("havre exec kv redis-cli --bigkeys", None),
        ("havre secrets generate NAME", None),
    ],
)
def test_a_command_that_cannot_be_typed_is_noticed(line: str, defect: str | None) -> None:
    assert _defect(line) == defect
