"""The systemd unit that brings everything back after a reboot."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from havre.engines.process.unit import unit_text


def test_a_user_without_root_gets_a_unit_of_their_own() -> None:
    text = unit_text("/home/me/.local/state/havre/process", "/usr/bin/python3", is_root=False)
    assert "ExecStart=/usr/bin/python3 -m havre.engines.process.supervisor --state /home/me/.local" in text
    assert "KillMode=process" in text
    assert "WantedBy=default.target" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_it(tmp_path: Path) -> None:
    unit = tmp_path / "havre-process.service"
    unit.write_text(unit_text("/var/lib/havre/process", sys.executable, is_root=True))
    said = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (said.returncode, "havre-process" in said.stderr) == (0, False), said.stderr
