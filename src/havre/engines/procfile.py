"""Procfiles: `NAME: COMMAND` lines that say how the processes of a source tree are run."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from havre.errors import InputError, Location, Problem

NAME = "Procfile"
RELEASE = "release"
"""The process that runs once before a release serves, as hosts that read Procfiles have it."""
WEB = "web"
"""The process that requests from outside reach; it alone has a port."""
PORT = 8000
"""Where `web` listens unless the env file says `PORT`."""

_PROCESS = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)")
_NEEDS_SHELL = re.compile(r"[;&|<>$`(){}*?~=\\]")


def read_procfile(directory: Path) -> tuple[tuple[str, str], ...]:
    """The (name, shell line) pairs of a tree's Procfile in order; empty without one."""
    path = directory / NAME
    if not path.is_file():
        return ()
    found = (_PROCESS.match(line) for line in path.read_text(errors="replace").splitlines())
    return tuple((match[1], match[2].strip()) for match in found if match)


def argv_of_line(line: str) -> tuple[str, ...]:
    """The words of a line that needs no shell, so that plans show it as it is written; else a shell that runs it."""
    try:
        return ("/bin/sh", "-c", line) if _NEEDS_SHELL.search(line) else tuple(shlex.split(line))
    except ValueError:  # a quote without its end: the shell says it best
        return ("/bin/sh", "-c", line)


def as_compose(text: str, shown: str, *, env_files: Sequence[str] = (), secrets: Sequence[str] = ()) -> str:
    """The Compose file that a Procfile amounts to: one service per process, all built from the tree it lies in.

    Every process has the variables of the env files (`.env` where none is named) and the secrets. Each stands in
    the line of the Procfile that it comes from, so that whoever complains of it names that line. Raises InputError
    with every line that is no process.
    """
    lines = text.splitlines()
    wrong = tuple(_no_process(line, Location(shown, number)) for number, line in enumerate(lines, 1) if _is_lost(line))
    if wrong:
        raise InputError(wrong)
    shared: dict[str, object] = {
        "build": {"context": "."},
        "env_file": [{"path": file, "required": True} for file in env_files] or [{"path": ".env", "required": False}],
        "restart": "unless-stopped",
    }
    services = [_service_line(line, shared, secrets) for line in lines]
    if not any(services):
        raise InputError(_empty(Location(shown)))
    return '{"services": {' + "\n".join(services) + "}}\n"


def _service_line(line: str, shared: dict[str, object], secrets: Sequence[str]) -> str:
    found = _PROCESS.match(line)
    if not found or found[1] == RELEASE:
        return ""
    name, command = found[1], found[2].strip()
    port = f"${{PORT:-{PORT}}}"
    listens = {"expose": [port]} if name == WEB else {}
    environment = {secret: f"${{{secret}}}" for secret in secrets} | ({"PORT": port} if name == WEB else {})
    argv = [word.replace("$", "$$") for word in argv_of_line(command)]
    return f"{json.dumps(name)}: {json.dumps({**shared, 'command': argv, 'environment': environment, **listens})},"


def _is_lost(line: str) -> bool:
    """Whether a line says something, and no process."""
    return bool(line.strip()) and not line.lstrip().startswith("#") and not _PROCESS.match(line)


def _no_process(line: str, at: Location) -> Problem:
    words = line.split()
    return Problem(
        summary=f"this line names no process: `{line.strip()}`",
        at=at,
        effect="it would not run",
        hint=f"write `NAME: COMMAND`, for example `{words[0].strip(':')}: {' '.join(words[1:]) or 'COMMAND'}`",
        code="procfile-line",
    )


def _empty(at: Location) -> Problem:
    return Problem(
        summary="this Procfile names no process that keeps running",
        at=at,
        hint=f"add a line such as `web: gunicorn app:app` (`{RELEASE}:` alone runs once before each release)",
        code="procfile-empty",
    )
