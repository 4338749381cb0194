"""Run a long program and hear each line it writes while it runs."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from havre.errors import FailedError, Problem, UnavailableError


def follow(
    argv: Sequence[str], heard: Callable[[str], None], *, stdin: bytes | None = None,
    environment: Mapping[str, str] | None = None, timeout: float = 3600.0,
) -> int:  # fmt: skip
    """The exit code of `argv`; `heard` gets its lines, stdout and stderr together as they come.

    `environment` is added to our own. After `timeout` seconds the program is killed and FailedError raised.
    """
    process = _start(argv, environment or {})
    timed_out = threading.Event()
    timer = threading.Timer(timeout, _give_up, args=(process, timed_out))
    timer.daemon = True
    timer.start()
    try:
        _feed(process, stdin)
        for line in process.stdout or ():
            heard(line.decode(errors="replace").rstrip("\r\n"))
        code = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        timer.cancel()
        if process.stdout is not None:
            process.stdout.close()
    if timed_out.is_set():
        raise FailedError(_too_slow(argv, timeout))
    return code


def _start(argv: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )
    except FileNotFoundError as error:
        raise UnavailableError(
            Problem(
                summary=f"the program `{argv[0]}` is not installed on this server",
                hint=f"install the package that provides `{Path(argv[0]).name}` and try again",
                code="program-missing",
            )
        ) from error


def _feed(process: subprocess.Popen[bytes], stdin: bytes | None) -> None:
    """Small inputs only (a Dockerfile): they fit into the pipe before the program answers."""
    if process.stdin is None:
        return
    try:
        process.stdin.write(stdin or b"")
        process.stdin.close()
    except BrokenPipeError:
        return  # it ended early; its exit code says why


def _give_up(process: subprocess.Popen[bytes], timed_out: threading.Event) -> None:
    timed_out.set()
    process.kill()


def _too_slow(argv: Sequence[str], timeout: float) -> Problem:
    return Problem(
        summary=f"`{Path(argv[0]).name}` did not finish within {timeout:g} s and was stopped",
        hint="look at the load of the server, then try again",
        code="program-timeout",
    )
