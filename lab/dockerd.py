"""Run a Docker Engine of the lab's own, for machines where none answers."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from packages import SBIN, find
from places import DEFAULT_SOCKET, ENV, LAB, LOG, PID, SOCKET, answers, say

START_SECONDS = 60
STOP_SECONDS = 60


def start() -> str:
    """Start the engine, wait until it answers, and return its address."""
    if os.geteuid() != 0:
        raise SystemExit("lab: no Docker Engine answers, and starting one needs root (or set DOCKER_HOST)")
    LAB.mkdir(parents=True, exist_ok=True)
    PID.unlink(missing_ok=True)
    say(f"starting a Docker Engine, data under {LAB}/data, log in {LOG}")
    with LOG.open("ab") as log:
        process = subprocess.Popen(
            _command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=_environment()
        )
    _await_answer(process)
    return f"unix://{SOCKET}"


def stop() -> bool:
    """Stop the engine that `start` started; False when it is not running."""
    pid = running_pid()
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _is_ours(pid):
        if time.monotonic() > deadline:
            raise SystemExit(f"lab: dockerd (pid {pid}) did not stop within {STOP_SECONDS} s, see {LOG}")
        time.sleep(0.1)
    PID.unlink(missing_ok=True)
    ENV.unlink(missing_ok=True)
    return True


def running_pid() -> int | None:
    """The process id of our own engine, or None; a pid file left by a crash or a reboot does not count."""
    try:
        pid = int(PID.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if _is_ours(pid) else None


def _command() -> list[str]:
    return [
        find("dockerd") or "dockerd",
        f"--data-root={LAB}/data",
        f"--exec-root={LAB}/exec",
        f"--pidfile={PID}",
        f"--host=unix://{SOCKET}",
        *_default_socket(),
    ]


def _default_socket() -> list[str]:
    """Also listen where a plain `docker` looks, unless the lab was moved elsewhere or somebody answers there."""
    if "HAVRE_LAB_DIR" in os.environ or answers(f"unix://{DEFAULT_SOCKET}"):
        return []
    return [f"--host=unix://{DEFAULT_SOCKET}"]


def _environment() -> dict[str, str]:
    return os.environ | {"PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:{SBIN}"}


def _await_answer(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(f"unix://{SOCKET}"):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(LOG.read_text(errors="replace").splitlines()[-15:])
            raise SystemExit(f"{tail}\nlab: the Docker Engine did not come up; the lines above are from {LOG}")
        time.sleep(0.1)


def _is_ours(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return f"--data-root={LAB}/data".encode() in command
