"""How much room a file or a directory takes on its disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 512


def size_of(path: Path) -> int:
    """Bytes on disk below `path`, each hard link once; what vanishes or may not be read counts as nothing."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for facts in _everything(path):
        if facts.st_nlink == 1 or (facts.st_dev, facts.st_ino) not in seen:
            seen.add((facts.st_dev, facts.st_ino))
            total += facts.st_blocks * _BLOCK
    return total


def _everything(path: Path) -> Iterator[os.stat_result]:
    yield from _facts(str(path))
    for directory, folders, names in os.walk(path):
        for name in (*folders, *names):
            yield from _facts(f"{directory}/{name}")


def _facts(path: str) -> Iterator[os.stat_result]:
    try:
        yield os.lstat(path)
    except OSError:  # it went meanwhile
        return
