"""Somebody who is in no group that may use the engine: the kernel's refusal is told with the way in."""

from __future__ import annotations

import grp
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.process.test_unprivileged import bring_source
from unprivileged import NOBODY, SYSTEM_PYTHON, needs_root

PLAN = """
import sys
from havre.cli.main import main
sys.argv = ["havre", "plan"]
main()
"""
ASK = """
import sys
from havre.engines.docker.client import DockerClient
from havre.errors import UnavailableError
try:
    DockerClient(f"unix://{sys.argv[1]}").get("/version", doing="ask the Docker Engine for its version")
except UnavailableError as error:
    print(error)
"""


@pytest.fixture
def door(place: Path) -> Iterator[Path]:
    """A socket that a group shares, as Docker makes it."""
    path = place / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        os.chown(path, 0, grp.getgrnam("adm").gr_gid)
        path.chmod(0o660)
        yield path


def ask_as_nobody(place: Path, door: Path, program: str = ASK) -> str:
    """What `program` says, in one line."""
    person = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    done = subprocess.run(
        [*person, SYSTEM_PYTHON, "-c", program, str(door)],
        cwd=place,
        env={**bring_source(place), "DOCKER_HOST": f"unix://{door}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


@needs_root
def test_a_user_outside_the_group_is_told_the_group_and_the_command(place: Path, door: Path) -> None:
    said = ask_as_nobody(place, door)
    assert f"user nobody may not use the Docker Engine at unix://{door}" in said
    assert "it belongs to root, and to group adm (mode 0660)" in said
    assert "`sudo usermod -aG adm nobody`, then log in again" in said


@needs_root
def test_a_socket_of_root_alone_is_no_group_to_be_put_into(place: Path, door: Path) -> None:
    os.chown(door, 0, 0)
    assert "usermod" not in (said := ask_as_nobody(place, door))
    assert "`sudo groupadd -f docker && sudo systemctl restart docker`" in said


@needs_root
def test_a_plan_without_docker_says_that_it_is_there_and_refused(place: Path, door: Path) -> None:
    (place / "Procfile").write_text("web: python3 -m http.server $PORT\n")
    said = ask_as_nobody(place, door, PLAN)
    assert "warning: user nobody may not use the Docker Engine" in said
    assert "the services run as processes of this server" in said
    assert "`sudo usermod -aG adm nobody`" in said
