"""Reads the sources in build contexts for checks: which variables they mention, and secrets written into them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from havre.checks.sources import SUFFIXES
from havre.engines.images import ContextFile

MOST_BYTES = 24 * 1024 * 1024
LARGEST = 512 * 1024
"""Bytes of one source file beyond which it was generated, not written."""

_NOT_WRITTEN = frozenset(
    {"node_modules", ".venv", "venv", "vendor", "dist", "build", "target", ".next", ".git", "__pycache__", "coverage"}
)
_LOCKS = frozenset(
    {"package-lock.json", "yarn.lock", "pnpm-lock.yaml", "poetry.lock", "uv.lock", "Cargo.lock", "composer.lock"}
)


def source_texts(files: Iterable[ContextFile]) -> Iterator[tuple[str, str]]:
    """(name, text) of what people wrote among the files that reach the builder."""
    left = MOST_BYTES
    for entry in files:
        path = PurePosixPath(entry.name)
        if entry.kind != "file" or not _is_source(path):
            continue
        try:
            size = os.stat(entry.path).st_size  # noqa: PTH116 - thousands of files: half the time of Path.stat
            if size > LARGEST or size > left:
                continue
            left -= size
            yield entry.name, entry.path.read_text(errors="replace")
        except OSError:  # gone meanwhile, or not ours to read: the build will say so
            continue


def _is_source(path: PurePosixPath) -> bool:
    if path.name in _LOCKS or not _NOT_WRITTEN.isdisjoint(path.parts[:-1]):
        return False
    return path.suffix.lower() in SUFFIXES or not path.suffix or path.name.startswith(".env")
