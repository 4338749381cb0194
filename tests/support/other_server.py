"""Another server on this machine: a Docker Engine with its own data, a state directory, and a real sshd in front."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from havre.workflows.demo import free_port

SBIN = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/local/sbin:/usr/sbin:/sbin"
HOST = "root@other-server"
SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/user_key.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
SetEnv DOCKER_HOST={docker} HAVRE_STATE={directory}/state
"""
SSH = """\
Host other-server
  HostName 127.0.0.1
  Port {port}
  IdentityFile {directory}/user_key
  UserKnownHostsFile {directory}/known
  StrictHostKeyChecking accept-new
"""


@dataclass(frozen=True, kw_only=True)
class OtherServer:
    """What a test needs to act on it from outside (`environment`) or as somebody who is logged in there (`inside`)."""

    directory: Path
    docker: str

    @property
    def inside(self) -> dict[str, str]:
        """The environment of a command that runs on that server."""
        return {**os.environ, "DOCKER_HOST": self.docker, "HAVRE_STATE": str(self.directory / "state")}

    @property
    def path(self) -> str:
        """A PATH on which `ssh` knows this server by its name."""
        return f"{self.directory}/bin:{os.environ['PATH']}"


@contextmanager
def other_server(directory: Path) -> Iterator[OtherServer]:
    """Both daemons, ended when the block ends."""
    directory.mkdir()
    docker = f"unix://{directory}/docker.sock"
    port = free_port(22000 + os.getpid() % 3000)
    for key in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / key], check=True)
    (directory / "sshd_config").write_text(SSHD.format(port=port, directory=directory, docker=docker))
    (directory / "ssh_config").write_text(SSH.format(port=port, directory=directory))
    _wrap_ssh(directory)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with _daemon(_dockerd(directory, docker)), _daemon(["/usr/sbin/sshd", "-D", "-e", "-f", directory / "sshd_config"]):
        server = OtherServer(directory=directory, docker=docker)
        _await(["docker", "version"], server.inside)
        _await([f"{directory}/bin/ssh", "-o", "BatchMode=yes", HOST, "true"], server.inside)
        yield server


def _wrap_ssh(directory: Path) -> None:
    """The real ssh with a configuration of its own, which root's home must not get."""
    program = directory / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {directory}/ssh_config "$@"\n')
    program.chmod(0o755)


def _dockerd(directory: Path, docker: str) -> list[str | Path]:
    """In a network of its own: started without a bridge, it removes the `docker0` that it finds, whoever made that."""
    return [
        "unshare", "--net",
        "dockerd", f"--data-root={directory}/data", f"--exec-root={directory}/exec", f"--pidfile={directory}/pid",
        f"--host={docker}", "--bridge=none", "--iptables=false", "--ip-forward=false", "--storage-driver=vfs",
    ]  # fmt: skip


@contextmanager
def _daemon(command: list[str | Path]) -> Iterator[None]:
    process = subprocess.Popen(
        command, env={**os.environ, "PATH": SBIN}, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def _await(command: list[str], environment: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    while subprocess.run(command, env=environment, capture_output=True, check=False).returncode != 0:
        if time.monotonic() > deadline:
            raise AssertionError(f"{command} does not succeed")
        time.sleep(0.2)
