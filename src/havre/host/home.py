"""Where this user's own files lie."""

from __future__ import annotations

import os
import pwd
from pathlib import Path


def home_directory() -> Path:
    """`HOME`, else what this machine's book of users says; `/` for a user that neither knows."""
    said = Path(os.environ.get("HOME", ""))
    if said.is_absolute():
        return said
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path("/")
