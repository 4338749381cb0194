"""The command whose output restic stores: it passes on what Havre sends through a socket, and Havre's own verdict.

Run by path as `python -I -S pipe.py SOCKET VERDICT`, so that it starts in milliseconds. Its exit code is the one
in the file VERDICT; when Havre died or never wrote one, it fails, and restic then stores no snapshot.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys

_CHUNK = 1 << 20
NO_VERDICT = 70


def main() -> int:
    """Copy, then answer with the verdict."""
    path, verdict = sys.argv[1:3]
    fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, _CHUNK)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as source:
        source.connect(path)
        while os.splice(source.fileno(), 1, _CHUNK):
            pass
    try:
        with open(verdict, encoding="ascii") as file:  # noqa: PTH123 - pathlib costs as long to import as all of this
            return int(file.read())
    except (FileNotFoundError, ValueError):
        return NO_VERDICT


if __name__ == "__main__":
    sys.exit(main())
