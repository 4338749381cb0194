"""Reads the sources in build contexts for checks: which variables they mention, and secrets written into them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from havre.checks.sources import SUFFIXES
from havre.engines.images import ContextFile
from havre.model.server import Script

MOST_BYTES = 24 * 1024 * 1024
LARGEST = 512 * 1024
"""Bytes of one source file beyond which it was generated, not written."""

_SCRIPTS = frozenset({"", ".sh", ".bash"})
_FIRST_LINE = 256
"""Bytes in which the first line of a script ends."""

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


def scripts_among(files: Iterable[ContextFile]) -> Iterator[Script]:
    """What can be run among the files that reach the builder, as far as their names let expect it."""
    for entry in files:
        path = PurePosixPath(entry.name)
        if entry.kind == "file" and path.suffix in _SCRIPTS and _NOT_WRITTEN.isdisjoint(path.parts[:-1]):
            script = read_script(entry.path, entry.name)
            if script:
                yield script


def read_script(path: Path, shown: str) -> Script | None:
    """The file as a script; None where its first line names no program, or it may not be read."""
    try:
        with path.open("rb") as file:
            first = file.read(_FIRST_LINE).partition(b"\n")[0]
            is_executable = bool(os.fstat(file.fileno()).st_mode & 0o111)
    except OSError:
        return None
    if not first.startswith(b"#!"):
        return None
    return Script(name=shown, is_windows=first.endswith(b"\r"), is_executable=is_executable)


def _is_source(path: PurePosixPath) -> bool:
    if path.name in _LOCKS or not _NOT_WRITTEN.isdisjoint(path.parts[:-1]):
        return False
    return path.suffix.lower() in SUFFIXES or not path.suffix or path.name.startswith(".env")
