"""Prepare dependencies once per content: a virtual environment for Python, node_modules for Node."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from havre.errors import FailedError, InputError, Problem
from havre.host import clock
from havre.host.commands import find_program, run
from havre.host.locks import exclusive
from havre.model.units import show_seconds

INSTALL_TIME = 1800.0
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a source tree got: directories of programs for PATH, variables, and what must be reachable."""

    programs: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    reveal: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()


def prepare_python(app: Path, caches: Path, tell: Tell) -> Prepared | None:
    """A virtual environment with what `requirements.txt` or `pyproject.toml` ask for; None without either."""
    wanted = _python_requirements(app)
    if wanted is None:
        return None
    python = base_python()
    key = _key(wanted, str(python), sys.version)
    environment = caches / "venvs" / key
    with _made_once(environment, tell, "Python packages") as missing:
        if missing:
            _install_python(environment, wanted, python)
    return Prepared(
        programs=(f"{environment}/bin",),
        environment=(("VIRTUAL_ENV", str(environment)), *_import_path(app)),
        reveal=(str(environment), str(_prefix_of(python))),
        caches=(str(environment),),
    )


def prepare_node(app: Path, caches: Path, tell: Tell) -> Prepared | None:
    """`node_modules` in the tree, as its lock file says; None without a package.json."""
    manifest = app / "package.json"
    if not manifest.exists():
        return None
    node = find_program("node")
    if node is None:
        raise InputError(_no_node(app))
    reveal = (str(_prefix_of(Path(node).resolve())),)
    programs = (str(Path(node).parent),)
    content = msgspec.json.decode(manifest.read_bytes(), type=dict[str, object])
    if not any(content.get(kind) for kind in ("dependencies", "devDependencies", "optionalDependencies")):
        return Prepared(programs=programs, reveal=reveal)
    files = [app / name for name in ("package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc")]
    present = [file for file in files if file.exists()]
    key = _key(*(file.read_text() for file in present), run([node, "--version"]).stdout)
    cache = caches / "node" / key
    with _made_once(cache, tell, "Node packages") as missing:
        if missing:
            _install_node(cache, present)
    shutil.copytree(cache / "node_modules", app / "node_modules", copy_function=os.link, symlinks=True)
    return Prepared(programs=("node_modules/.bin", *programs), reveal=reveal, caches=(str(cache),))


def base_python() -> Path:
    """The interpreter below our own virtual environment."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def uv_or_pip(python: Path) -> tuple[str, ...]:
    """The beginning of an installing command for the environment of that interpreter."""
    uv = find_program("uv")
    if uv:
        return (uv, "pip", "install", "--quiet", "--python", str(python))
    return (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")


def _python_requirements(app: Path) -> str | None:
    listed = app / "requirements.txt"
    if listed.exists():
        return _with_included(listed)
    project = app / "pyproject.toml"
    if not project.exists():
        return None
    try:
        content = tomllib.loads(project.read_text())
    except tomllib.TOMLDecodeError as error:
        raise InputError(_bad_project(project, str(error))) from error
    if "project" not in content and "poetry" in content.get("tool", {}):
        raise InputError(_poetry(project))
    if (app / "uv.lock").exists() and (uv := find_program("uv")):
        argv = [uv, "export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--directory", str(app)]
        return run(argv, timeout=120.0).stdout
    wanted: list[str] = content.get("project", {}).get("dependencies", [])
    return "".join(f"{line}\n" for line in wanted)


def _with_included(listed: Path) -> str:
    """The requirements with the files they include by `-r` and `-c` put in their place."""
    lines = []
    for line in listed.read_text().splitlines():
        words = line.split(None, 1)
        if len(words) == 2 and words[0] in {"-r", "--requirement"}:
            lines.append(_with_included(listed.parent / words[1].strip()))
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _install_python(environment: Path, wanted: str, python: Path) -> None:
    uv = find_program("uv")
    if uv:
        run([uv, "venv", "--quiet", "--python", str(python), str(environment)], timeout=120.0)
    else:
        run([str(python), "-m", "venv", str(environment)], timeout=300.0)
    requirements = environment / "requirements.txt"
    requirements.write_text(wanted)
    own = environment / "bin" / "python"
    run([*uv_or_pip(own), "-r", str(requirements)], timeout=INSTALL_TIME)
    run([str(own), "-m", "compileall", "-q", str(environment / "lib")], timeout=INSTALL_TIME, check=False)


def _install_node(cache: Path, files: Sequence[Path]) -> None:
    npm = find_program("npm")
    if npm is None:
        raise InputError(_no_node(files[0].parent))
    for file in files:
        shutil.copy2(file, cache / file.name)
    locked = any(file.name in {"package-lock.json", "npm-shrinkwrap.json"} for file in files)
    action = "ci" if locked else "install"
    argv = [npm, action, "--no-audit", "--no-fund", "--loglevel=error", "--include=dev"]
    run(argv, cwd=cache, timeout=INSTALL_TIME)
    (cache / "node_modules").mkdir(exist_ok=True)


@contextmanager
def _made_once(directory: Path, tell: Tell, what: str) -> Iterator[bool]:
    """Yields whether the directory is still to be filled; it counts as there only once it was filled to the end."""
    mark = directory / ".complete"
    with exclusive(directory.parent / f"{directory.name}.lock", what=what, doing="install", wait=INSTALL_TIME):
        if mark.exists():
            tell(f"{what}: unchanged")
            yield False
            return
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        started = clock.elapsed()
        try:
            yield True
        except FailedError:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        mark.touch()
        tell(f"{what}: installed in {show_seconds(clock.elapsed() - started)}")


def _import_path(app: Path) -> Iterator[tuple[str, str]]:
    if (app / "pyproject.toml").exists() and (app / "src").is_dir():
        yield "PYTHONPATH", "src"


def _prefix_of(program: Path) -> Path:
    """The directory that holds `bin/PROGRAM` with its library, or the program's own directory."""
    return program.parent.parent if program.parent.name == "bin" else program.parent


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _no_node(app: Path) -> Problem:
    return Problem(
        summary="this service needs Node, and there is no `node` and `npm` on this server",
        subject=app.name,
        hint="install Node (the package `nodejs` and `npm`), or use the Docker engine",
        code="process-node-missing",
    )


def _bad_project(path: Path, reason: str) -> Problem:
    return Problem(summary=f"{path.name} cannot be read: {reason}", hint="correct it", code="process-pyproject")


def _poetry(path: Path) -> Problem:
    return Problem(
        summary=f"{path.name} lists its dependencies for Poetry only",
        hint="run `poetry export -o requirements.txt` and keep that file beside it, or use a `[project]` table",
        code="process-poetry",
    )
