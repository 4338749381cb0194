"""What a Python source tree depends on, as one requirements text, from whichever file says so most exactly."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from havre.engines.process.installers import run_uv
from havre.errors import InputError, Problem

_EXPORT_TIME = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`source` is what settles the packages: the same source, the same environment; `text` is for the installer."""

    source: str
    text: Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporter:
    """A lock file, and the tool that made it, which says what is in it."""

    lock: str
    packages: tuple[str, ...]
    command: tuple[str, ...]


EXPORTERS = (
    Exporter(
        lock="poetry.lock",
        packages=("poetry>=2,<3", "poetry-plugin-export>=1.9,<2"),
        command=("poetry", "export", "--format=requirements.txt", "--only=main", "--no-interaction"),
    ),
    Exporter(
        lock="pdm.lock",
        packages=("pdm>=2.20,<3",),
        command=("pdm", "export", "--prod", "--format=requirements"),
    ),
    Exporter(lock="Pipfile.lock", packages=("pipenv>=2024",), command=("pipenv", "requirements")),
)


def wanted_packages(app: Path, caches: Path) -> Wanted | None:
    """What `requirements.txt`, else a lock file, else the `dependencies` of `pyproject.toml` say; None without any."""
    listed = app / "requirements.txt"
    if listed.exists():
        return Wanted(source=_with_included(listed, app), text=lambda: f"-r {listed}\n")
    if (app / "uv.lock").exists():
        return _from_lock(app, "uv.lock", lambda: _uv_export(app, caches))
    for exporter in EXPORTERS:
        if (app / exporter.lock).exists():
            return _from_lock(app, exporter.lock, partial(_exported, app, exporter, caches))
    project = _project(app)
    if project is None:
        return None
    if "project" not in project and "poetry" in project.get("tool", {}):
        raise InputError(_poetry(app / "pyproject.toml"))
    lines = "".join(f"{line}\n" for line in project.get("project", {}).get("dependencies", []))
    return Wanted(source=lines, text=lambda: lines)


def _from_lock(app: Path, lock: str, text: Callable[[], str]) -> Wanted:
    files = [app / name for name in (lock, "pyproject.toml", "Pipfile")]
    return Wanted(source="\0".join(file.read_text() for file in files if file.exists()), text=text)


def _uv_export(app: Path, caches: Path) -> str:
    export = ("export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--directory", str(app))
    return run_uv(export, caches, timeout=_EXPORT_TIME)


def _exported(app: Path, exporter: Exporter, caches: Path) -> str:
    """Poetry and the others read their own lock files best; uv fetches them for this one command."""
    tools = [word for package in exporter.packages for word in ("--with", package)]
    return run_uv(["tool", "run", "--quiet", *tools, *exporter.command], caches, timeout=_EXPORT_TIME, cwd=app)


def _project(app: Path) -> dict[str, dict[str, list[str]]] | None:
    path = app / "pyproject.toml"
    if not path.exists():
        return None
    try:
        return tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise InputError(_bad_project(path, str(error))) from error


def _with_included(listed: Path, app: Path) -> str:
    """The requirements with all they include; a package from the tree itself makes them this tree's alone.

    An included file that is not there is for the installer to tell.
    """
    lines = []
    for line in listed.read_text(errors="replace").splitlines() if listed.is_file() else ():
        lines.append(line)
        if included := re.match(r"(?:-r|-c|--requirement|--constraint)[ =]*(\S+)", line):
            lines.append(_with_included(listed.parent / included[1], app))
        elif re.match(r"(?:-e\b|--editable|\.|file:)|.*@\s*file:", line):
            lines.append(str(app))
    return "\n".join(lines) + "\n"


def _bad_project(path: Path, reason: str) -> Problem:
    return Problem(
        summary=f"{path.name} cannot be read: {reason}",
        hint="correct that file, then deploy again",
        code="process-pyproject",
    )


def _poetry(path: Path) -> Problem:
    return Problem(
        summary=f"{path.name} lists its dependencies for Poetry only, and there is no poetry.lock beside it",
        hint="run `poetry lock` and keep the file in the source, or use a `[project]` table",
        code="process-poetry",
    )
