"""Where the lab keeps its things, and how an engine is found, so that every other part agrees."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

LAB = Path(os.environ.get("HAVRE_LAB_DIR", "/var/lib/havre-lab"))
SOCKET = LAB / "docker.sock"
PID = LAB / "dockerd.pid"
LOG = LAB / "dockerd.log"
ENV = LAB / "env"
DEFAULT_SOCKET = Path("/var/run/docker.sock")
DOWNLOADS = LAB / "downloads"
IMAGES = Path(__file__).resolve().parent / "images"


def answering_engine() -> str | None:
    """The address of the first engine that answers, in the order the docker client would prefer."""
    return next((host for host in _candidates() if answers(host)), None)


def _candidates() -> Iterator[str]:
    if host := os.environ.get("DOCKER_HOST"):
        yield host
    yield f"unix://{SOCKET}"
    yield f"unix://{DEFAULT_SOCKET}"


def answers(host: str) -> bool:
    """Whether a Docker Engine answers a ping at this address (unix:// and tcp:// only)."""
    try:
        connection = _connect(host)
    except (OSError, ValueError):
        return False
    try:
        connection.request("GET", "/_ping")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _connect(host: str) -> http.client.HTTPConnection:
    address = urlsplit(host)
    connection = http.client.HTTPConnection(address.hostname or "engine", address.port, timeout=5)
    if address.scheme == "unix":
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(5)
        connection.sock.connect(address.path)
    elif address.scheme != "tcp":
        raise ValueError(f"cannot ping {host}: only unix:// and tcp:// are understood")
    return connection


def say(line: str) -> None:
    """One line of progress, visible at once even when the output is a pipe."""
    print(f"lab: {line}", flush=True)
