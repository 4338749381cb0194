"""Run a program: never through a shell, always with a bound on time, and with errors a person can act on."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from havre.errors import FailedError, Problem, UnavailableError

_LAST_LINES = 40
"""Of what a command says, so many lines are kept to explain its failure."""

_LONGEST_LINE = 16 * 1024
_LINGER = 5.0
"""Seconds for the rest of its output once nobody is left to write it."""


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


def follow(
    argv: Sequence[str],
    *,
    timeout: float,
    tell: Callable[[str], None],
    when_over: Callable[[], None],
    named: str = "",
    cwd: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> None:
    """Run `argv` (called `named` in messages) as `run` does, and tell every line that it writes as it comes.

    `when_over` is called as soon as the program itself has ended, however it did: what it left running holds its
    output open and is for the caller to end.
    """
    last: deque[str] = deque(maxlen=_LAST_LINES)
    variables = {**os.environ, **(settings or {})}
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=variables,
        )
    except FileNotFoundError as error:
        raise UnavailableError(_not_installed(argv[0])) from error
    reader = threading.Thread(target=_tell_lines, args=(process.stdout, last, tell), daemon=True)
    reader.start()
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.wait()
        raise FailedError(_too_slow(argv, timeout, named)) from error
    finally:
        when_over()
        reader.join(_LINGER)
    if code != 0:
        done = Completed(argv=tuple(argv), exit_code=code, stdout="\n".join(last), stderr="")
        raise FailedError(_failed(done, named))


def _tell_lines(output: IO[bytes], last: deque[str], tell: Callable[[str], None]) -> None:
    with output:
        for line in iter(lambda: output.readline(_LONGEST_LINE), b""):
            text = line.decode(errors="replace").rstrip()
            if text:
                last.append(text)
                tell(text)


def _not_installed(program: str) -> Problem:
    return Problem(
        summary=f"the program `{program}` is not installed on this server",
        hint=f"install the package that provides `{Path(program).name}` and try again",
        code="program-missing",
    )


def _too_slow(argv: Sequence[str], timeout: float, named: str = "") -> Problem:
    return Problem(
        summary=f"`{named or Path(argv[0]).name}` did not finish within {timeout:g} s and was stopped",
        evidence=(shlex.join(argv)[:200],),
        hint="look at the load of the server (`uptime`, `free -m`), then try again",
        code="program-timeout",
    )


def _failed(done: Completed, named: str = "") -> Problem:
    lines = (done.stderr or done.stdout).strip().splitlines()[-5:]
    return Problem(
        summary=f"`{named or Path(done.argv[0]).name}` failed with exit code {done.exit_code}",
        evidence=tuple(lines),
        hint="the lines above are its own words; correct what they name and try again",
        code="program-failed",
    )
