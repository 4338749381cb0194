"""Programs whose output is read as it comes, and that are left before they ended."""

from __future__ import annotations

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
