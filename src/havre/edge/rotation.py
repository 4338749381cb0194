"""Keep the edge's logs from filling the disk: full files are set aside, the oldest go.

HAProxy holds its output open, so a file is copied and then emptied (it is opened for appending); requests that end
within that instant may be missing from the copy.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

FULL = 64 * 1024 * 1024
KEPT = 3


def rotate(path: Path, *, full: int = FULL) -> bool:
    """Set `path` aside as `.1` when it is larger than `full` bytes; True when it was."""
    if not path.exists() or path.stat().st_size <= full:
        return False
    for number in range(KEPT, 1, -1):
        older = _numbered(path, number - 1)
        if older.exists():
            older.replace(_numbered(path, number))
    shutil.copyfile(path, _numbered(path, 1))
    os.truncate(path, 0)
    return True


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
