"""The example application on a stage of its own, for the benchmarks that deploy it: with Havre, and with its peers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from compose import _compose_v2
from havre.cli.edge import edge_for
from havre.engines.process.engine import ProcessEngine
from havre.store.state import State
from havre.workflows.demo import fill, free_port

REPOSITORY = Path(__file__).resolve().parents[1]
EXAMPLE = REPOSITORY / "examples" / "lexikon"
HOST = "lexikon.localhost"
PEERS = Path(tempfile.gettempdir()) / "havre-compose-peers"
BYTECODE = Path(tempfile.gettempdir()) / "havre-benchmark-bytecode"
COUNTING = """
import sys
from havre.engines.docker import client
made, begin = [], client.DockerClient.__init__
def begun(self, *given, **named):
    made.append(self)
    begin(self, *given, **named)
client.DockerClient.__init__ = begun
from havre.cli.main import cli
sys.argv[0] = "havre"
cli.main(standalone_mode=False)
print("calls", sum(one.calls for one in made))
"""


@dataclass
class Stage:
    """A copy of the example in a directory, with free ports; `app` is where the Compose file is."""

    directory: Path
    app: Path
    engine: str
    name: str
    http_port: int
    frontend_port: int
    backend_port: int

    def environment(self) -> dict[str, str]:
        """What commands see: as installed, with compiled modules kept."""
        plain = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**plain, "HAVRE_STATE": str(self.directory / "state"), "PYTHONPYCACHEPREFIX": str(BYTECODE)}

    def set(self, **values: str) -> None:
        """Change variables of the env file."""
        path = self.app / ".env.prod"
        path.write_text(fill(path.read_text(), values))

    def release(self, version: str) -> None:
        """Make both services of the application new."""
        self.set(APP_VERSION=version, FRONTEND_URL=f"http://{HOST}/{version}")

    def edit(self, file: str, old: str, new: str) -> None:
        """Change a file of the application."""
        path = self.app / file
        text = path.read_text()
        assert old in text, (file, old)
        path.write_text(text.replace(old, new))

    def havre(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command in the application's directory."""
        return self._run([sys.executable, "-m", "havre", *arguments], check=check)

    def deploy(self, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`havre deploy -y`."""
        return self.havre("deploy", "-y", "--engine", self.engine, check=check)

    def counted_deploy(self) -> int:
        """How many requests a deploy sends to the Docker Engine."""
        done = self._run([sys.executable, "-c", COUNTING, "deploy", "-y", "--engine", "docker"], check=True)
        return int(done.stdout.rsplit("calls", 1)[1])

    def compose(self, program: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a Compose program on the same files, with the two HTTP services published."""
        files = ["-f", "docker-compose.prod.yml", "-f", "docker-compose.local.yml"]
        return self._run(
            [*program, "--env-file", ".env.prod", "-p", f"{self.name}peer", *files, *arguments], check=True
        )

    def _run(self, argv: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            argv, cwd=self.app, env=self.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(
                f"{' '.join(argv[-4:])}: exit {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
            )
        return done


@contextmanager
def staged(engine: str, name: str = "lexbench") -> Iterator[Stage]:
    """A stage that is taken down and removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="releases-measured-") as folder:
        stage = prepare(Path(folder), engine, name)
        try:
            yield stage
        finally:
            stage.havre("down", "-y", "--volumes", "--confirm", name, check=False)
            _end_helpers(engine, State(stage.directory / "state"))


def prepare(directory: Path, engine: str, name: str) -> Stage:
    """Copy the example and settle its variables."""
    first = free_port(21000 + os.getpid() % 4000)
    second = free_port(first + 1)
    third = free_port(second + 1)
    stage = Stage(directory, directory / "app", engine, name, first, second, third)
    shutil.copytree(EXAMPLE, stage.app, ignore=shutil.ignore_patterns("__pycache__", ".env.prod"))
    secrets = {key: f"benchmark{key.lower()[:3]}1234567890abcdef" for key in _needed()}
    values = {**secrets, "POSTGRES_PORT": str(free_port(third + 1)), "UVICORN_WORKERS": "2"}
    values |= {"FRONTEND_PORT": str(second), "BACKEND_PORT": str(third), "DB_POOL_SIZE": "10"}
    (stage.app / ".env.prod").write_text(fill((stage.app / ".env.prod.example").read_text(), values))
    stage.edit("havre.yaml", "app: lexikon", f"app: {name}")
    state = directory / "state"
    state.mkdir()
    (state / "server.yaml").write_text(f"http_port: {first}\nhttps_port: 0\nbind: [127.0.0.1]\n")
    return stage


def compose_v2() -> list[str]:
    """Docker Compose 2.26, fetched and unpacked once."""
    return _compose_v2("docker compose", PEERS, False).command[:1]


def timed(action: object, *arguments: object) -> float:
    """Seconds that a call takes."""
    assert callable(action)
    start = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - start


def _needed() -> list[str]:
    return re.findall(r"^([A-Z_]+)=$", (EXAMPLE / ".env.prod.example").read_text(), re.MULTILINE)[:4]


def _end_helpers(engine: str, state: State) -> None:
    edge_for(state).stop()
    if engine == "process":
        ProcessEngine(state.processes).shut_down()
