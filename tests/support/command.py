"""Run the `havre` command as a script would, in an app's directory and with a state directory of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

HAVRE = [sys.executable, "-m", "havre"]


def environment(directory: Path, *, columns: int = 80) -> dict[str, str]:
    """What the command sees: the state directory lies beside the app's files."""
    return {**os.environ, "HAVRE_STATE": str(directory / "state"), "COLUMNS": str(columns)}


def run_havre(
    directory: Path,
    *arguments: str,
    check: bool = True,
    columns: int = 80,
    timeout: float = 300,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """The finished command; with `check`, an exit code other than 0 is an AssertionError that shows all it said."""
    done = subprocess.run(
        [*HAVRE, *arguments],
        cwd=directory,
        env={**environment(directory, columns=columns), **(variables or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"havre {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done
