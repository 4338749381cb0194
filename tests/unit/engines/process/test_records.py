"""What is written about a replica is what is read, and a reused pid is nobody."""

from __future__ import annotations

import os
from pathlib import Path

from havre.engines.process import client, proctable, supervisor
from havre.engines.process.records import (
    Launch,
    Place,
    Status,
    read_launch,
    read_status,
    write_launch,
    write_status,
)

LAUNCH = Launch(
    instance="shop",
    service="web",
    slot=2,
    argv=("sh", "-c", "x"),
    environment=(("A", "ä\n"),),
    places=(Place(kind="bind", target="/data", source="/s", read_only=True), Place(kind="tmpfs", target="/t", size=5)),
    limits=(("nofile", 1, 2),),
    names=(("db", "127.0.0.9"),),
)


def test_a_launch_comes_back_as_it_was(tmp_path: Path) -> None:
    write_launch(str(tmp_path), LAUNCH)
    assert read_launch(str(tmp_path)) == LAUNCH
    assert (tmp_path / "launch.json").stat().st_mode & 0o777 == 0o600, "it holds the environment"


def test_a_status_comes_back_as_it_was(tmp_path: Path) -> None:
    status = Status(state="running", pid=7, exit_code=None, unenforced=["memory"])
    write_status(str(tmp_path), status)
    assert read_status(str(tmp_path)) == status


def test_nothing_written_is_nothing_read(tmp_path: Path) -> None:
    assert read_launch(str(tmp_path)) is None
    assert read_status(str(tmp_path)) == Status()


def test_only_the_same_pid_start_and_boot_is_the_same_process() -> None:
    own = proctable.stat(os.getpid())
    assert own is not None
    assert proctable.is_alive(own.pid, own.started, proctable.boot_id())
    assert not proctable.is_alive(own.pid, own.started + 1, proctable.boot_id())
    assert not proctable.is_alive(own.pid, own.started, "another boot")
    assert not proctable.is_alive(0, own.started, proctable.boot_id())


def test_both_sides_speak_the_same_protocol() -> None:
    assert client.PROTOCOL == supervisor.PROTOCOL
