"""A file system of a few megabytes, to be filled for real."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        _unmount(path)


def _unmount(path: Path) -> None:
    """What was just ended may hold it for a moment."""
    give_up = time.monotonic() + 10
    while subprocess.run(["umount", path], capture_output=True, check=False).returncode != 0:
        assert time.monotonic() < give_up, f"{path} stays in use"
        time.sleep(0.1)
