"""After a reboot: every process is gone, pids are other people's, and what `havre boot now` asks brings all back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from tests.integration.process.conftest import Stage, until
from tests.integration.process.test_servers import DATABASE

from havre.engines.process import proctable
from havre.engines.process.records import Status, read_launch, read_status, write_status
from havre.model.health import HealthState
from havre.model.observed import ReplicaState
from havre.model.project import Restart, Volume

pytestmark = pytest.mark.process


def test_everything_returns_after_a_reboot_and_nobody_else_is_touched(stage: Stage) -> None:
    stage.volumes = [Volume(key="data", name="shop_data")]
    web = stage.web(restart=Restart(policy="unless-stopped"))
    resting = stage.shell("resting", "sleep 1000", restart=Restart(policy="always"))
    for service in (web, stage.add(DATABASE), resting):
        stage.start(service)
    assert stage.wait(DATABASE, seconds=40).state is HealthState.HEALTHY, stage.texts(DATABASE)
    stage.engine.execute("shop", "postgres", 1, ["psql", "-c", "create table t as select 42 as answer"])
    stage.stop(resting)

    with _bystander(stage) as bystander:
        _reboot(stage, given_to=bystander.pid)
        stage.engine.resume()
        assert stage.wait(web).state is HealthState.HEALTHY, stage.texts(web)
        assert stage.wait(DATABASE, seconds=40).state is HealthState.HEALTHY, stage.texts(DATABASE)
        answer = stage.engine.execute("shop", "postgres", 1, ["psql", "-XtAc", "select answer from t"])
        assert answer.output.strip() == "42"
        assert stage.observed(resting).state is ReplicaState.EXITED, "stopped is stopped, after a reboot too"
        assert bystander.poll() is None, "whoever has an old pid of ours now is left alone"
        stage.stop(web)
        assert bystander.poll() is None


def _reboot(stage: Stage, *, given_to: int) -> None:
    """Nothing runs, sockets and private directories are gone, and every recorded pid belongs to `given_to` now."""
    state = stage.directory / "state"
    directories = [path.parent for path in state.glob("replicas/*/*/launch.json")]
    marks = [launch.mark for directory in directories if (launch := read_launch(str(directory)))]
    os.kill(stage.engine._client.facts().pid, signal.SIGKILL)
    assert until(lambda: not stage.engine._client.is_running())
    for directory, mark in zip(directories, marks, strict=True):
        status = read_status(str(directory))
        _kill_all(mark, status)
        started = proctable.stat(given_to)
        assert started
        write_status(
            str(directory),
            replace(status, pid=given_to if status.pid else 0, started_ticks=started.started, boot="an-earlier-boot"),
        )
        for name in ("stdout", "stderr"):
            (directory / name).unlink(missing_ok=True)
        for name in ("run", "tmp"):
            for entry in (directory / name).iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for name in ("supervisor.sock", "supervisor.json", "supervisor.lock"):
        (state / name).unlink(missing_ok=True)
    lock = next(state.glob("volumes/*/data/postmaster.pid"))
    lines = lock.read_text().split("\n")
    lock.write_text("\n".join([str(given_to), *lines[1:]]))


def _kill_all(mark: str, status: Status) -> None:
    pid = status.pid if proctable.is_alive(status.pid, status.started_ticks, status.boot) else -1
    for _ in range(3):
        for member in proctable.members(mark, pid):
            os.kill(member, signal.SIGKILL)


@contextmanager
def _bystander(stage: Stage) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the app's own user that is called `postgres`, and is no server of ours."""
    program = stage.directory / "postgres"
    shutil.copy("/bin/sleep", program)
    launch = json.loads((stage.directory / "state/replicas/shop/postgres.1/launch.json").read_text())
    user = launch["uid"] if launch["uid"] >= 0 else None
    process = subprocess.Popen([str(program), "1000"], user=user, cwd="/")
    try:
        yield process
    finally:
        process.kill()
        process.wait()
