"""Logs are set aside when they are full, while their writer goes on writing."""

from __future__ import annotations

from pathlib import Path

from havre.edge.rotation import rotate


def test_a_full_log_is_set_aside_and_its_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    with path.open("ab", buffering=0) as writer:
        for number in range(6):
            writer.write(f"round {number}".encode())
            assert rotate(path, full=5)
        writer.write(b"last")
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "access.log": "last",
        "access.log.1": "round 5",
        "access.log.2": "round 4",
        "access.log.3": "round 3",
    }


def test_a_log_that_is_not_full_or_not_there_is_left(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    assert not rotate(path)
    path.write_text("short")
    assert not rotate(path)
    assert path.read_text() == "short"
