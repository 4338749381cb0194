"""The source of a service: which files belong to it, what they amount to, and an immutable copy of them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from havre.engines.dockerignore import source_rules
from havre.engines.images import files_below


def files_of(source: Path) -> tuple[str, ...]:
    """The relative paths of all files below `source` that belong to it, sorted.

    Left out is what `.dockerignore` names, or `.gitignore` where there is none.
    """
    return tuple(sorted(entry.name for entry in files_below(source, source_rules(source)) if entry.kind != "directory"))


def digest_of(source: Path, files: Iterable[str]) -> str:
    """Changes exactly when a file's path, content or executable bit does."""
    digest = hashlib.sha256()
    for name in files:
        path = source / name
        digest.update(name.encode() + b"\0")
        if path.is_symlink():
            digest.update(b"l" + os.fsencode(path.readlink()))
        else:
            digest.update(b"x" if os.access(path, os.X_OK) else b"f")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def copy_files(source: Path, files: Iterable[str], target: Path) -> None:
    """Copy them; later changes to the source do not reach the copy."""
    for name in files:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, place, follow_symlinks=False)
