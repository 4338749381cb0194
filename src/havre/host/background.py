"""Start programs that outlive the command that started them, and end them by their process id."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from havre.errors import Problem, UnavailableError
from havre.host import clock
from havre.host.scope import own_scope, runtime_directory


def start_detached(
    argv: Sequence[str], *, log: Path, errors: Path | None = None, environment: Mapping[str, str] | None = None
) -> int:
    """Start `argv` apart from us and our login, output appended to `log` (and `errors`, if apart); the process id."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output, (errors or log).open("ab") as complaints:
        try:
            process = subprocess.Popen(
                [*own_scope(), *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=complaints,
                start_new_session=True,
                env={
                    **(os.environ if environment is None else environment),
                    "XDG_RUNTIME_DIR": str(runtime_directory()),
                },
            )
        except FileNotFoundError as error:
            raise UnavailableError(
                Problem(
                    summary=f"the program `{argv[0]}` is not installed on this server",
                    hint=f"install the package that provides `{Path(argv[0]).name}` and try again",
                    code="program-missing",
                )
            ) from error
    process.returncode = 0  # it is meant to outlive us: nothing here will wait for it
    return process.pid


def is_alive(pid: int) -> bool:
    """True when the process runs (a dead one that nobody has reaped yet does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def runs_program(pid: int, name: str) -> bool:
    """True when `pid` is alive and runs a program called `name` (a process id may have been given to another)."""
    try:
        program = Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return is_alive(pid) and program == name[:15]


def end(pid: int, *, grace: float = 5.0) -> None:
    """Ask the process to stop, and kill it after `grace` seconds."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, signal_number)
        except ProcessLookupError:
            return
        if _gone_within(pid, grace):
            return


def _gone_within(pid: int, seconds: float) -> bool:
    deadline = clock.elapsed() + seconds
    while clock.elapsed() < deadline:
        _reap(pid)
        if not is_alive(pid):
            return True
        clock.sleep(0.02)
    return False


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
