"""Run a program: never through a shell, always with a bound on time, and with errors a person can act on."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from havre.errors import FailedError, Problem, UnavailableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a command ended."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str


def find_program(name: str) -> str | None:
    """The absolute path of a program on PATH (the system's sbin directories included), or None."""
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")


def path_with(directories: Sequence[str]) -> str:
    """The PATH of this process with those directories before all others."""
    return ":".join([*directories, os.environ.get("PATH", os.defpath)])


def run(
    argv: Sequence[str],
    *,
    timeout: float = 60.0,
    check: bool = True,
    stdin: bytes | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Completed:
    """Run `argv` and wait at most `timeout` seconds; with `check`, an exit code other than 0 raises FailedError.

    It sees our environment with `settings` added to it, or only `environment` when that is given.
    Raises UnavailableError when the program is not installed, FailedError when it takes too long.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=timeout,
            check=False,
            cwd=cwd,
            env=dict(environment) if environment is not None else {**os.environ, **(settings or {})},
        )
    except FileNotFoundError as error:
        raise UnavailableError(_not_installed(argv[0])) from error
    except subprocess.TimeoutExpired as error:
        raise FailedError(_too_slow(argv, timeout)) from error
    completed = Completed(
        argv=tuple(argv),
        exit_code=done.returncode,
        stdout=done.stdout.decode(errors="replace"),
        stderr=done.stderr.decode(errors="replace"),
    )
    if check and completed.exit_code != 0:
        raise FailedError(_failed(completed))
    return completed


def _not_installed(program: str) -> Problem:
    return Problem(
        summary=f"the program `{program}` is not installed on this server",
        hint=f"install the package that provides `{Path(program).name}` and try again",
        code="program-missing",
    )


def _too_slow(argv: Sequence[str], timeout: float) -> Problem:
    return Problem(
        summary=f"`{Path(argv[0]).name}` did not finish within {timeout:g} s and was stopped",
        evidence=(shlex.join(argv)[:200],),
        hint="look at the load of the server (`uptime`, `free -m`), then try again",
        code="program-timeout",
    )


def _failed(done: Completed) -> Problem:
    lines = (done.stderr or done.stdout).strip().splitlines()[-5:]
    return Problem(
        summary=f"`{Path(done.argv[0]).name}` failed with exit code {done.exit_code}",
        evidence=tuple(lines),
        hint="the lines above are its own words; correct what they name and try again",
        code="program-failed",
    )
