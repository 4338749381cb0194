"""Run as somebody who may do nothing special: the system's own Python, which such a user can read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"
NOBODY = 65534


def _is_the_same_version() -> bool:
    if not Path(SYSTEM_PYTHON).exists():
        return False
    said = subprocess.run([SYSTEM_PYTHON, "-V"], capture_output=True, text=True, check=True).stdout
    return said.startswith(f"Python {sys.version_info.major}.{sys.version_info.minor}.")


needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None or not _is_the_same_version(),
    reason="needs root to become somebody else, and the system's Python in our version",
)
