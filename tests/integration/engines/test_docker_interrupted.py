"""A Docker Engine that goes away in the middle, and a person's terminal in between."""

from __future__ import annotations

import os
import pty
import select
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_stage import Stage

from havre.engines.base import LogQuery
from havre.engines.docker import client as client_module
from havre.engines.docker.engine import DockerEngine
from havre.errors import UnavailableError
from havre.model.plan import CreateVolume, RunTask, StartReplica
from havre.model.project import Mount, MountKind, Volume

pytestmark = pytest.mark.docker


class Wire:
    """A socket between client and engine that can be cut."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: list[socket.socket] = []
        self._server: socket.socket | None = None

    def join(self) -> None:
        """Let connections through."""
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(self.path))
        self._server.listen(50)
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def cut(self) -> None:
        """End all connections and accept no new ones, as an engine that is stopped does."""
        if self._server is not None:
            self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
            self.path.unlink()
            self._server = None
        for end in self._open:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for end in self._open:
            end.close()
        self._open.clear()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                near, _ = server.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            far.connect("/var/run/docker.sock")
            self._open += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    made = Wire(tmp_path / "wire.sock")
    made.join()
    yield made
    made.cut()


@pytest.fixture
def wired(wire: Wire, tmp_path: Path) -> DockerEngine:
    """An engine that is reached through the wire."""
    return DockerEngine(f"unix://{wire.path}", config=tmp_path)


def test_a_question_survives_a_restart_of_the_engine(stage: Stage, wire: Wire, wired: DockerEngine) -> None:
    wired.observe(stage.instance)
    wire.cut()
    threading.Timer(1.0, wire.join).start()

    assert wired.observe(stage.instance).network(f"{stage.instance}_default") is not None


def test_an_engine_that_stays_away_ends_a_step_with_one_clear_message(
    stage: Stage, wire: Wire, wired: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PATIENCE", 0.5)
    wired.observe(stage.instance)
    wire.cut()

    with pytest.raises(UnavailableError, match="does not answer") as failure:
        wired.perform(StartReplica(service=stage.service(), slot=1), stage.context())

    assert len(failure.value.problems) == 1
    assert stage.engine.observe(stage.instance).replicas == ()


def test_a_one_off_goes_on_and_is_told_once_when_the_connection_is_cut(
    stage: Stage, wire: Wire, wired: DockerEngine
) -> None:
    told: list[str] = []
    command = ("sh", "-c", "for n in 1 2 3 4 5 6; do echo $n; sleep 0.5; done")
    step = RunTask(service=stage.service(), command=command, title="migrate")
    failures: list[BaseException] = []

    def run() -> None:
        try:
            wired.perform(step, stage.context(), progress=told.append)
        except UnavailableError as error:
            failures.append(error)

    running = threading.Thread(target=run)
    running.start()
    wait_until(lambda: len(told) >= 2)
    wire.cut()
    wire.join()
    running.join(20)
    if failures:
        stage.engine.perform(step, stage.context(), progress=lambda _: None)

    assert failures or told == ["1", "2", "3", "4", "5", "6"]
    assert stage.engine.observe(stage.instance).replicas == ()


def test_a_task_that_was_cut_off_is_taken_up_again_instead_of_run_twice(
    stage: Stage, wire: Wire, wired: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PATIENCE", 0.2)
    volume = Volume(key="data", name=f"{stage.instance}_data")
    stage.volumes = (volume,)
    stage.do(CreateVolume(volume=volume))
    service = stage.service(mounts=(Mount(kind=MountKind.VOLUME, source="data", target="/data"),))
    command = ("sh", "-c", "echo once >> /data/runs; sleep 3; cat /data/runs")
    step = RunTask(service=service, command=command, title="migrate")
    failures: list[UnavailableError] = []

    def run() -> None:
        try:
            wired.perform(step, stage.context())
        except UnavailableError as error:
            failures.append(error)

    first = threading.Thread(target=run)
    first.start()
    wait_until(lambda: any(replica.is_running for replica in stage.engine.observe(stage.instance).replicas))
    wire.cut()
    first.join(20)

    stage.do(step)

    assert len(failures) == 1
    assert stage.told == ["once"]


def test_following_logs_ends_with_a_message_and_not_in_silence(
    stage: Stage, wire: Wire, wired: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PATIENCE", 0.5)
    stage.start(stage.service(shell="echo ready; sleep 600"))
    following = wired.logs(stage.instance, LogQuery(follow=True))
    assert next(following).text == "ready"
    threading.Timer(0.5, wire.cut).start()

    with pytest.raises(UnavailableError):
        next(following)


def test_a_terminal_is_lent_and_given_back(stage: Stage) -> None:
    stage.start(stage.service())
    child, terminal = at_a_terminal(stage)
    output = bytearray()
    try:
        read_until(terminal, output, b"# ")
        os.write(terminal, b"stty size; tty; echo $((6*7))\n")
        read_until(terminal, output, b"42")
        os.write(terminal, b"exit 9\n")
        read_until(terminal, output, None)
        _, status = os.waitpid(child, 0)
    finally:
        os.close(terminal)

    assert os.waitstatus_to_exitcode(status) == 9
    assert b"/dev/pts/" in output


def test_the_window_size_is_passed_on(stage: Stage) -> None:
    stage.start(stage.service())
    child, terminal = at_a_terminal(stage)
    output = bytearray()
    try:
        read_until(terminal, output, b"# ")
        termios.tcsetwinsize(terminal, (33, 111))
        time.sleep(0.5)
        os.write(terminal, b"stty size\n")
        read_until(terminal, output, b"33 111")
        os.write(terminal, b"exit\n")
        read_until(terminal, output, None)
        os.waitpid(child, 0)
    finally:
        os.close(terminal)


def test_without_a_terminal_the_input_is_passed_on_to_its_end(stage: Stage) -> None:
    stage.start(stage.service())
    done = subprocess.run(
        [sys.executable, "-c", script(stage)],
        input=b"echo from a pipe; echo err >&2; exit 4\n",
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 4, done.stderr
    assert (done.stdout, done.stderr) == (b"from a pipe\n", b"err\n")


def script(stage: Stage) -> str:
    """A program that runs a shell in the replica."""
    return (
        "import sys; from havre.engines.docker.engine import DockerEngine;"
        f"sys.exit(DockerEngine().interactive('{stage.instance}', 'web', 1, ('sh',)))"
    )


def at_a_terminal(stage: Stage) -> tuple[int, int]:
    """That program with a terminal of its own: (process, terminal)."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", script(stage)])
    return child, terminal


def read_until(terminal: int, output: bytearray, wanted: bytes | None) -> None:
    deadline = time.monotonic() + 20
    while wanted is None or wanted not in output:
        assert time.monotonic() < deadline, bytes(output)
        readable, _, _ = select.select([terminal], [], [], 0.2)
        if not readable:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:
            return
        if not data:
            return
        output += data


def wait_until(seen: object) -> None:
    deadline = time.monotonic() + 20
    while not seen():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)
