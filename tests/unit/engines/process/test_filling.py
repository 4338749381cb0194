"""What prepares a directory: nothing half-done stays, nothing it started goes on, its words are told as they come."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from havre.engines.process import proctable
from havre.engines.process.filling import end_fillers, fill, filled
from havre.errors import FailedError, UnavailableError

FORK = "sleep 300 & echo $! > pid; echo prepared"


def _run(directory: Path, line: str, *, timeout: float = 20.0) -> list[str]:
    told: list[str] = []
    argv = ["/bin/sh", "-c", line]
    fill(directory, argv, settings={}, timeout=timeout, cwd=directory, named="make web", tell=told.append)
    return told


def test_a_command_that_forks_is_over_when_it_ends_and_so_is_what_it_left(tmp_path: Path) -> None:
    began = time.monotonic()
    assert _run(tmp_path, FORK) == ["prepared"]
    assert time.monotonic() - began < 10
    assert not _lives(tmp_path)


def test_a_command_that_hangs_is_stopped_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="`make web` did not finish within 1 s"):
        _run(tmp_path, f"{FORK}; sleep 300", timeout=1.0)
    assert not _lives(tmp_path)


def test_a_command_that_fails_shows_its_last_words_of_either_stream(tmp_path: Path) -> None:
    with pytest.raises(FailedError) as caught:
        _run(tmp_path, "seq 1 5000; echo 'registry: 500 Internal Server Error' >&2; exit 4")
    assert caught.value.problems[0].summary == "`make web` failed with exit code 4"
    assert caught.value.problems[0].evidence[-2:] == ("5000", "registry: 500 Internal Server Error")


def test_what_a_killed_preparation_left_running_is_ended_before_the_next(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    script = (
        "import sys; from pathlib import Path; from havre.engines.process.filling import fill; p = Path(sys.argv[1])\n"
        "fill(p, ['/bin/sh', '-c', 'echo $$ > pid; sleep 300'], settings={}, timeout=60.0, cwd=p)"
    )
    killed = subprocess.Popen([sys.executable, "-c", script, str(place)])
    pid = place / "pid"
    deadline = time.monotonic() + 20
    while not (pid.exists() and pid.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    assert _lives(place), "a kill takes Havre alone"
    with filled(place):
        assert list(place.iterdir()) == []
    end_fillers(place)


def test_a_full_disk_is_told_and_nothing_half_done_stays(tmp_path: Path) -> None:
    place = tmp_path / "place"

    def run_out_of_room() -> None:
        with filled(place):
            (place / "half").write_text("x")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place / "rest"))

    with pytest.raises(UnavailableError, match="no space left on device"):
        run_out_of_room()
    assert not place.exists()


def _lives(directory: Path) -> bool:
    """Whether the process that the command noted is still there."""
    found = proctable.stat(int((directory / "pid").read_text()))
    return found is not None and found.state not in "ZX"
