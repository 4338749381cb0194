"""A Docker Engine of a test's own, that may be killed: its own data, socket, network and mounts.

Its network namespace keeps its bridges and rules away from everybody else's; who wants to visit what runs there goes
`inside`. Its mounts live as long as the stage does, so that an engine that comes back finds its containers' files.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from own_network import inside_network

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
STAGE = """\
mount --make-rprivate / && mkdir -p "$0/run" && mount --bind "$0/run" /run && ip link set lo up || exit 1
echo ready
exec sleep infinity
"""
START_LIMIT = 60.0
BACK_AFTER = 1.0
"""Seconds after which what watches over the engine starts it again, as a service manager does."""


class SecondEngine:
    """Starts when made; starts again by itself when it ends, until closed."""

    def __init__(self, home: Path, *, live_restore: bool, options: Sequence[str] = ()) -> None:
        self.home = home
        self.options = options
        self.live_restore = live_restore
        self._closing = threading.Event()
        argv = ["unshare", "--net", "--mount", "sh", "-c", STAGE, str(home)]
        self._stage = subprocess.Popen(argv, stdout=subprocess.PIPE, env=_environment(), start_new_session=True)
        assert self._stage.stdout is not None
        assert self._stage.stdout.readline() == b"ready\n"
        self._containerd = self._launch(
            "containerd", f"--root={home}/ctr", f"--state={home}/s", f"--address={home}/c.sock"
        )
        self._process = self._start()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    @property
    def host(self) -> str:
        """What DOCKER_HOST says."""
        return f"unix://{self.home}/docker.sock"

    @property
    def pid_file(self) -> Path:
        """Where the engine's process id is."""
        return self.home / "dockerd.pid"

    def answers(self) -> bool:
        """True when it can be asked."""
        argv = ["docker", "-H", self.host, "version", "-f", "{{.Server.Version}}"]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    def await_answer(self) -> None:
        """Return once it answers."""
        deadline = time.monotonic() + START_LIMIT
        while not self.answers():
            assert time.monotonic() < deadline, (self.home / "dockerd.log").read_text(errors="replace")[-2000:]
            time.sleep(0.1)

    def take_image(self, reference: str) -> None:
        """Copy an image from the engine that DOCKER_HOST names now."""
        with subprocess.Popen(["docker", "save", reference], stdout=subprocess.PIPE) as saved:
            subprocess.run(["docker", "-H", self.host, "load", "-q"], stdin=saved.stdout, check=True)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """This thread, and all that it starts, in the engine's network, with DOCKER_HOST and DOCKERD_PID set."""
        before = dict(os.environ)
        os.environ.update(DOCKER_HOST=self.host, DOCKERD_PID=str(self.pid_file))
        try:
            with inside_network(self._stage.pid):
                yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def close(self) -> None:
        """End the engine, its containers and everything else on the stage."""
        self._closing.set()
        self._keeper.join()
        for process in (self._process, self._containerd):
            process.terminate()
            process.wait(60)
        for pid in _on_stage(self._stage.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._stage.wait()
        if self._stage.stdout is not None:
            self._stage.stdout.close()

    def _start(self) -> subprocess.Popen[bytes]:
        self.pid_file.unlink(missing_ok=True)
        started = self._launch(
            "dockerd", f"--data-root={self.home}/data", f"--exec-root={self.home}/exec", f"--pidfile={self.pid_file}",
            f"--host={self.host}", f"--containerd={self.home}/c.sock",
            *(["--live-restore"] if self.live_restore else []), *self.options,
        )  # fmt: skip
        self.await_answer()
        return started

    def _launch(self, *argv: str) -> subprocess.Popen[bytes]:
        enter = ["nsenter", f"--target={self._stage.pid}", "--net", "--mount"]
        with (self.home / f"{argv[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [*enter, *argv],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=_environment(),
            )  # fmt: skip

    def _keep(self) -> None:
        while not self._closing.wait(0.1):
            if self._process.poll() is not None:
                time.sleep(BACK_AFTER)
                self._process = self._start()


def _on_stage(pid: int) -> list[int]:
    """All processes with the mounts or the network of the stage."""
    found = []
    for kind in ("mnt", "net"):
        place = os.readlink(f"/proc/{pid}/ns/{kind}")
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(entry / "ns" / kind) == place:
                    found.append(int(entry.name))
    return found


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{os.environ['PATH']}:{SBIN}"}
