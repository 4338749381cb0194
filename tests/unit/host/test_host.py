"""The room that touches the machine: commands, files and locks behave when things go wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from havre.errors import BusyError, FailedError, UnavailableError
from havre.host.clock import parse_time, show_time
from havre.host.commands import find_program, run
from havre.host.files import write_atomic, write_derived
from havre.host.locks import exclusive, is_held


def test_a_command_that_fails_shows_its_last_words() -> None:
    with pytest.raises(FailedError, match="exit code 3") as caught:
        run([sys.executable, "-c", "import sys; print('no room', file=sys.stderr); sys.exit(3)"])
    assert caught.value.problems[0].evidence == ("no room",)


def test_a_command_that_hangs_is_stopped() -> None:
    with pytest.raises(FailedError, match=r"did not finish within 0\.2 s"):
        run(["sleep", "30"], timeout=0.2)


def test_a_missing_program_is_named() -> None:
    with pytest.raises(UnavailableError, match="no-such-program"):
        run(["no-such-program"])
    assert find_program("no-such-program") is None


def test_input_and_output_pass_through() -> None:
    assert run(["cat"], stdin=b"bonjour").stdout == "bonjour"


def test_a_file_is_replaced_whole_and_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_atomic(path, "one")
    write_atomic(path, "two", mode=0o600)
    assert path.read_text() == "two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [child.name for child in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("write", [write_atomic, write_derived])
def test_a_write_that_fails_leaves_the_old_content_and_no_rubbish(
    tmp_path: Path, write: Callable[[Path, str], None]
) -> None:
    path = tmp_path / "file"
    path.mkdir()
    (path / "inside").write_text("x")
    with pytest.raises(OSError, match="file"):
        write(path, "new")
    assert [child.name for child in tmp_path.iterdir()] == ["file"]


def test_the_second_holder_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "shop.lock"
    with exclusive(path, what="the instance shop", doing="deploy, release 12"):
        assert is_held(path)
        with pytest.raises(BusyError) as caught, exclusive(path, what="the instance shop", doing="deploy"):
            pass
    assert f"pid {os.getpid()}, deploy, release 12" in caught.value.problems[0].evidence[0]
    assert not is_held(path)


def test_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "shop.lock"
    code = (
        "import sys, time; from pathlib import Path; from havre.host.locks import exclusive\n"
        f"with exclusive(Path({str(path)!r}), what='x', doing='y'):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert is_held(path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    with exclusive(path, what="the instance shop", doing="deploy"):
        pass


def test_times_are_read_as_they_are_shown() -> None:
    at = parse_time("2026-01-31T10:00:00")
    assert at is not None
    assert show_time(at) == "2026-01-31 10:00:00"
    assert parse_time("yesterday") is None
