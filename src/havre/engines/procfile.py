"""Procfiles: `NAME: COMMAND` lines that say how the processes of a source tree are run."""

from __future__ import annotations

import re
from pathlib import Path

NAME = "Procfile"
RELEASE = "release"
"""The process that runs once before a release serves, as hosts that read Procfiles have it."""


def read_procfile(directory: Path) -> tuple[tuple[str, str], ...]:
    """The (name, shell line) pairs of a tree's Procfile in order; empty without one."""
    path = directory / NAME
    if not path.is_file():
        return ()
    found = (re.match(r"([A-Za-z0-9_-]+):\s*(\S.*)", line) for line in path.read_text().splitlines())
    return tuple((match[1], match[2].strip()) for match in found if match)
