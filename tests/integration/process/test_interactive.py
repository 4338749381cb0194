"""A shell in a replica, on a real terminal."""

from __future__ import annotations

import os
import pty
import sys
import time

import pytest
from tests.integration.process.conftest import Stage

pytestmark = pytest.mark.process

PROGRAM = """
import sys
from pathlib import Path
from havre.engines.process.engine import ProcessEngine
sys.exit(ProcessEngine(Path(sys.argv[1])).interactive("shop", "box", 1, ["sh"]))
"""


def test_a_shell_on_the_callers_terminal(viewed: Stage) -> None:
    box = viewed.shell("box", "sleep 1000", environment=(("COLOUR", "blue"),))
    viewed.start(box)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM, str(viewed.directory / "state")])
    said = _until(terminal, b"$ ", b"# ")
    os.write(terminal, b"test -t 0 && echo on a $COLOUR terminal; sleep 100\n")
    said += _until(terminal, b"on a blue terminal")
    time.sleep(0.2)
    os.write(terminal, b"\x03")
    _until(terminal, b"$ ", b"# ")
    os.write(terminal, b"exit 9\n")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 9, said


def _until(terminal: int, *wanted: bytes) -> bytes:
    said = b""
    while not any(said.rstrip(b"\r\n").endswith(word) or (len(word) > 2 and word + b"\r" in said) for word in wanted):
        said += os.read(terminal, 4096)
    return said
