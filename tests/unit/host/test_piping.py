"""Programs whose output is read as it comes, and that are left before they ended."""

from __future__ import annotations

import io
import time
from pathlib import Path

from havre.host.piping import running

ENDLESS = """
trap 'touch tidied; exit 3' TERM
while :; do head -c 1000000 /dev/zero; done
"""


def test_a_program_that_waits_for_its_reader_tidies_up_when_it_is_left(tmp_path: Path) -> None:
    with running(("sh", "-c", ENDLESS), environment={}, cwd=str(tmp_path)) as program:
        assert program.stdout.read(1) == b"\0"
    assert program.wait() == 3
    assert (tmp_path / "tidied").exists()


def test_what_a_program_says_and_how_it_ends_is_kept() -> None:
    with running(("sh", "-c", "echo out; echo why >&2; exit 4"), environment={}) as program:
        assert program.stdout.read() == b"out\n"
        assert program.wait(5) == 4
        assert program.complaints() == "why"


def test_a_program_that_says_nothing_any_more_is_killed_and_its_output_ends() -> None:
    command = ("sh", "-c", "echo all there is; exec sleep 60")
    with running(command, environment={}) as program, program.patient(0.3) as output:
        assert io.BufferedReader(output).read() == b"all there is\n"
        assert (output.gave_up, output.at_end) == (True, False)
        assert program.wait(5) == -9


def test_a_slow_reader_costs_no_patience() -> None:
    command = ("sh", "-c", "head -c 300000 /dev/zero")
    with running(command, environment={}) as program, program.patient(0.3) as output:
        read = 0
        while piece := output.read(100_000):
            read += len(piece)
            time.sleep(0.4)
        assert (read, output.gave_up, output.at_end, program.wait(5)) == (300_000, False, True, 0)
