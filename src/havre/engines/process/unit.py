"""A systemd unit that brings everything back after a reboot; `python -m havre.engines.process.unit --state DIR`."""

from __future__ import annotations

import os
import sys

TEXT = """\
[Unit]
Description=Havre: the replicas of {state}
After=network.target

[Service]
ExecStart={python} -m havre.engines.process.supervisor --state {state} --stay
Restart=always
RestartSec=1
# Replicas outlive their supervisor: only it is stopped, and the next one takes them over.
KillMode=process

[Install]
WantedBy={target}
"""


def unit_text(state: str, python: str, *, is_root: bool) -> str:
    """The unit for that state directory: a system unit for root, else one of the user's own."""
    return TEXT.format(state=state, python=python, target="multi-user.target" if is_root else "default.target")


if __name__ == "__main__":
    directory = os.path.abspath(sys.argv[sys.argv.index("--state") + 1])  # noqa: PTH100
    sys.stdout.write(unit_text(directory, sys.executable, is_root=os.geteuid() == 0))
