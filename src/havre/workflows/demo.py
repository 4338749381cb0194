"""The demo's ground: a copy of the example with fresh secrets and free ports, in a directory of its own."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from havre.errors import Problem, UnavailableError
from havre.host.files import write_atomic

EXAMPLE = "lexikon"


def find_example() -> Path:
    """The example's directory: beside the source in a checkout, inside the package when installed."""
    package = Path(__file__).resolve().parents[1]
    for candidate in (package.parents[1] / "examples" / EXAMPLE, package / "examples" / EXAMPLE):
        if (candidate / "havre.yaml").is_file():
            return candidate
    raise UnavailableError(
        Problem(
            summary="the example application is not installed with this Havre",
            hint="run the demo from a checkout: `git clone`, then `make demo`",
            code="demo-missing",
        )
    )


def prepare(directory: Path, secrets: Mapping[str, str]) -> tuple[Path, int]:
    """Copy the example below `directory` and settle its variables; returns (app directory, HTTP port).

    What an earlier demo left (its secrets, its ports) is kept, so that a second run finds its data again.
    """
    app, state = directory / "app", directory / "state"
    state.mkdir(parents=True, exist_ok=True)
    shutil.copytree(find_example(), app, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".env.prod"))
    env_file = app / ".env.prod"
    if not env_file.is_file():
        values = {**secrets, "POSTGRES_PORT": str(free_port(5434)), "UVICORN_WORKERS": "1"}
        write_atomic(env_file, fill((app / ".env.prod.example").read_text(), values), mode=0o600)
    settings = state / "server.yaml"
    if not settings.is_file():
        write_atomic(settings, f"http_port: {free_port(8080)}\nhttps_port: 0\nbind: [127.0.0.1]\n")
    return app, int(settings.read_text().split("http_port: ")[1].split()[0])


def fill(template: str, values: Mapping[str, str]) -> str:
    """An env file in which these variables have these values; other lines stay as they are."""
    lines = []
    for line in template.splitlines():
        name = line.split("=", 1)[0].strip()
        lines.append(f"{name}={values[name]}" if name in values and not line.startswith("#") else line)
    known = {line.split("=", 1)[0] for line in lines}
    lines += [f"{name}={value}" for name, value in values.items() if name not in known]
    return "\n".join(lines) + "\n"


def set_variable(app: Path, name: str, value: str) -> None:
    """Change one variable of the demo's env file."""
    path = app / ".env.prod"
    write_atomic(path, fill(path.read_text(), {name: value}), mode=0o600)


def free_port(first: int) -> int:
    """The first TCP port from `first` on that nothing on this machine listens on."""
    for port in range(first, first + 200):
        with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise UnavailableError(
        Problem(summary=f"no free port from {first} to {first + 199}", hint="stop what listens there", code="no-port")
    )
