"""Prepare dependencies once per content: a virtual environment for Python; `node.py` does the same for Node."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from havre.engines.process.filling import filled
from havre.engines.process.installers import base_python, fill_by_uv, run_uv
from havre.engines.process.requirements import wanted_packages
from havre.errors import FailedError
from havre.host import clock
from havre.host.commands import run
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


def prepare_python(app: Path, base: str, caches: Path, tell: Tell) -> Prepared | None:
    """A virtual environment with the packages that the source asks for; None when it asks for none.

    It is of the Python that the source names, or its Dockerfile's `base`; where that is not here, another one stands
    in and `tell` hears so.
    """
    wanted = wanted_packages(app, caches)
    if wanted is None:
        return None
    python = _python(_wanted_python(app, base), caches, tell)
    exact = run([str(python), "-c", "import sys; print(sys.version)"]).stdout
    environment = caches / "venvs" / content_key(wanted.source, str(python), exact)
    with made_once(environment, tell, "Python packages") as missing:
        if missing:
            _install_python(app, environment, wanted.text(), python, caches)
    return Prepared(
        programs=(f"{environment}/bin",),
        environment=(("VIRTUAL_ENV", str(environment)), *_import_path(app)),
        reveal=(str(environment), str(prefix_of(python))),
        caches=(str(environment),),
    )


def _wanted_python(app: Path, base: str) -> str:
    """`3.12` of `.python-version`, `runtime.txt` or the image it is built on; empty when nothing says."""
    files = (app / ".python-version", app / "runtime.txt")
    said = [file.read_text() for file in files if file.exists()]
    found = re.search(r"^(?:python[:-])?(\d+\.\d+)", "\n".join([*said, base.rpartition("/")[2]]), re.MULTILINE)
    return found[1] if found else ""


def _python(version: str, caches: Path, tell: Tell) -> Path:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version in {"", own}:
        return base_python()
    try:
        found = run_uv(("python", "find", "--no-project", "--no-python-downloads", version), caches, timeout=60.0)
    except FailedError:
        tell(f"Python {own} stands in for {version}, which is not on this server")
        return base_python()
    return Path(found.strip()).resolve()


def _install_python(app: Path, environment: Path, wanted: str, python: Path, caches: Path) -> None:
    made = ("venv", "--quiet", "--allow-existing", "--python", str(python), str(environment))
    run_uv(made, caches, timeout=120.0)
    requirements = environment / "requirements.txt"
    requirements.write_text(wanted)
    install = ("pip", "install", "--quiet", "--compile-bytecode", "--python", f"{environment}/bin/python")
    fill_by_uv(environment, [*install, "-r", str(requirements)], caches, timeout=INSTALL_TIME, cwd=app)


@contextmanager
def made_once(directory: Path, tell: Tell, what: str) -> Iterator[bool]:
    """Yields whether the directory is still to be filled; it counts as there only once it was filled to the end."""
    mark = directory / ".complete"
    with exclusive(directory.parent / f"{directory.name}.lock", what=what, doing="install", wait=INSTALL_TIME):
        if mark.exists():
            tell(f"{what}: unchanged")
            yield False
            return
        started = clock.elapsed()
        with filled(directory):
            yield True
            mark.touch()
        tell(f"{what}: installed in {show_seconds(clock.elapsed() - started)}")


def _import_path(app: Path) -> Iterator[tuple[str, str]]:
    if (app / "pyproject.toml").exists() and (app / "src").is_dir():
        yield "PYTHONPATH", "src"


def prefix_of(program: Path) -> Path:
    """The directory that holds `bin/PROGRAM` with its library, or the program's own directory."""
    return program.parent.parent if program.parent.name == "bin" else program.parent


def content_key(*parts: str) -> str:
    """A name that changes with what it is made of."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
