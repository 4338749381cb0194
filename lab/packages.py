"""Install the Debian packages the lab needs, without letting any of them start a service."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from places import say

# command it provides -> package it comes from
NEEDED = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "iptables": "iptables",
    "ip": "iproute2",
    "debootstrap": "debootstrap",
    "ss": "iproute2",
    "haproxy": "haproxy",
    "nginx": "nginx-light",
    "caddy": "caddy",
    "pebble": "pebble",
    "docker-registry": "docker-registry",
    "sshd": "openssh-server",
    "nft": "nftables",
    "cron": "cron",
    "systemctl": "systemd",
    "dbus-daemon": "dbus",
}
ENGINE = ("dockerd", "docker", "iptables", "ip", "debootstrap")
"""What an engine of our own takes."""
SERVERS = (
    "ss",
    "haproxy",
    "nginx",
    "caddy",
    "pebble",
    "docker-registry",
    "sshd",
    "nft",
    "cron",
    "systemctl",
    "dbus-daemon",
)
"""The real servers that tests talk to."""
POLICY = Path("/usr/sbin/policy-rc.d")
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def install_missing(commands: tuple[str, ...]) -> None:
    """Make these commands available; does nothing, and needs no root, when they all are."""
    missing = sorted({NEEDED[command] for command in commands if find(command) is None})
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        names = ", ".join(missing)
        raise SystemExit(f"lab: missing {names}: run this as root on Debian or Ubuntu, or install them first")
    say(f"installing {', '.join(missing)} with apt-get")
    with _no_service_starts():
        _apt_install(missing)


def find(command: str) -> str | None:
    """Where a command is, looking in the administrator's directories too."""
    return shutil.which(command, path=f"{os.environ.get('PATH', '/usr/bin:/bin')}:{SBIN}")


def _apt_install(packages: list[str]) -> None:
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    if _apt(install) == 0:
        return
    _apt(["apt-get", "update", "-q"])  # a fresh machine has no package lists, an old one stale ones
    if code := _apt(install):
        raise SystemExit(f"lab: apt-get install {' '.join(packages)} failed with exit code {code}")


def _apt(command: list[str]) -> int:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], sep="\n", flush=True)
    return done.returncode


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Debian packages start their service unless policy-rc.d forbids it; the machine's own policy is put back."""
    before = POLICY.read_bytes() if POLICY.exists() else None
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        if before is None:
            POLICY.unlink()
        else:
            POLICY.write_bytes(before)
