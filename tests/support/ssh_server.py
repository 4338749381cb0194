"""A real OpenSSH server on the loopback, with keys of its own, and an `ssh` on PATH that knows it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

from havre.workflows.demo import free_port

SSHD = shutil.which("sshd", path="/usr/local/sbin:/usr/sbin:/sbin") or "/usr/sbin/sshd"


class Ssh:
    """The server; `programs` belongs in front of PATH, `url` is a repository on it."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port(22220)
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name], check=True)
        host = (directory / "host.pub").read_text()
        (directory / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {host}")
        (directory / "authorized_keys").write_text((directory / "user.pub").read_text())
        (directory / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {directory / 'host'}\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {directory / 'authorized_keys'}\nStrictModes no\nPermitRootLogin yes\n"
            "PasswordAuthentication no\nSubsystem sftp internal-sftp\n"
        )
        (directory / "ssh_config").write_text(
            f"Host *\n  IdentityFile {directory / 'user'}\n  IdentitiesOnly yes\n  BatchMode yes\n"
            f"  UserKnownHostsFile {directory / 'known_hosts'}\n"
        )
        self.programs = directory / "bin"
        self.programs.mkdir()
        shim = self.programs / "ssh"
        shim.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {directory / "ssh_config"} "$@"\n')
        shim.chmod(0o755)

    @property
    def url(self) -> str:
        """The repository's address."""
        return f"sftp://root@127.0.0.1:{self.port}/{self._directory / 'repo'}"

    def start(self) -> None:
        """Run it, and wait until it listens."""
        Path("/run/sshd").mkdir(exist_ok=True)  # where a real one lets unauthenticated connections live
        self._process = subprocess.Popen([SSHD, "-D", "-e", "-f", self._directory / "sshd_config"])
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("sshd does not listen")

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
