"""A server with a live systemd: the unit is enabled by the first deploy and brings everything back after a reboot."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from live_systemd import SYSTEMD, Machine, machine
from shop import Shop
from unprivileged import needs_root

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(os.geteuid() != 0 or not Path(SYSTEMD).exists(), reason="needs root, and systemd with dbus"),
]
HOME = "/srv/shop"


@pytest.fixture(scope="module")
def told() -> list[str]:
    """What the first deploy said."""
    return []


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, told: list[str]) -> Iterator[Machine]:
    """A machine on which the shop was deployed once: every test leaves it serving."""
    directory = tmp_path_factory.mktemp("systemd")
    shop = Shop(directory=directory / "shop", engine="process", http_port=80, db_port=5000)
    shop.write()
    shutil.rmtree(shop.directory / "state")
    with machine(directory / "machine") as made:
        for file in shop.directory.rglob("*"):
            if file.is_file():
                made.write(f"{HOME}/{file.relative_to(shop.directory)}", file.read_text())
        told.append(havre(made, "deploy", "-y", "--engine", "process", seconds=120))
        yield made


def havre(made: Machine, *arguments: str, check: bool = True, seconds: float = 60) -> str:
    """Everything a command said on that machine, in the app's directory, as one line."""
    script = f'cd {HOME} && exec "$@"'
    done = made.run("sh", "-c", script, "sh", sys.executable, "-m", "havre", *arguments, check=check, seconds=seconds)
    return " ".join((done.stdout + done.stderr).replace("|", " ").split())


def visit(made: Machine) -> dict[str, Any]:
    """What a visitor with TLS gets, once something answers."""
    asked = ("--retry", "40", "--retry-delay", "1", "--retry-all-errors", "https://shop.localhost/")
    answer: dict[str, Any] = json.loads(made.run("curl", "-sSkf", *asked).stdout)
    return answer


def shown(made: Machine, *names: str) -> list[str]:
    """Properties of the unit, as systemd has them."""
    wanted = [word for name in names for word in ("-p", name)]
    return made.run("systemctl", "show", "havre.service", "--value", *wanted).stdout.split()


def replicas(made: Machine) -> dict[str, str]:
    listed = json.loads(made.run("sh", "-c", f"cd {HOME} && {sys.executable} -m havre ps -q --json").stdout)
    return {f"{one['service']}.{one['slot']}": one["state"] for one in listed["replicas"]}


def scopes(made: Machine, user: str) -> set[str]:
    """What runs for a user in a scope of its own."""
    running = made.run("ps", "-u", user, "-o", "comm=,cgroup=").stdout.splitlines()
    return {line.split()[0] for line in running if "/run-r" in line} - {"sh"}


SERVED = {"web": "1", "api": {"version": "1", "count": 1}}
ALL_RUN = {"web.1": "running", "api.1": "running", "db.1": "running"}


def test_the_first_deploy_enables_the_unit_and_says_so(server: Machine, told: list[str]) -> None:
    assert "note: havre.service brings this server's apps back after a reboot" in told[0]
    assert shown(server, "UnitFileState") == ["enabled"]
    assert "after a reboot this server's apps come back: /etc/systemd/system/havre.service" in havre(server, "boot")
    assert "reboot" not in havre(server, "doctor", check=False)
    assert "haproxy" in scopes(server, "root"), "a shutdown asks it to stop like any service"


@pytest.mark.parametrize("ends", ["reboot", "power cut"])
def test_after_a_reboot_systemd_brings_edge_routes_and_replicas_back(server: Machine, ends: str) -> None:
    server.run("sh", "-c", "[ -e /srv/counted ] || curl -sS -X POST http://127.0.0.1:5000/ && touch /srv/counted")
    assert visit(server) == SERVED
    server.reboot() if ends == "reboot" else server.restart_after_a_power_cut()
    assert visit(server) == SERVED
    assert replicas(server) == ALL_RUN
    server.run("sh", "-c", "while systemctl is-active -q havre.service; do sleep 0.1; done")
    assert shown(server, "Result", "ExecMainStatus") == ["success", "0"]
    assert "shop: back, 3 replicas behind the edge" in server.run("journalctl", "-u", "havre.service").stdout


def test_the_unit_can_be_started_at_any_time_and_changes_nothing_that_is_right(server: Machine) -> None:
    before = server.run("pgrep", "-f", "haproxy|app.py").stdout
    server.run("systemctl", "start", "havre.service")
    assert server.run("pgrep", "-f", "haproxy|app.py").stdout == before
    assert visit(server)["web"] == "1"
    assert "Havre: the apps in /var/lib/havre" in server.run("systemctl", "status", "havre", check=False).stdout


def test_without_the_unit_doctor_and_checklist_say_so_and_one_command_is_enough(server: Machine) -> None:
    reboot = ("checklist", "--only", "reboot", "--verbose")
    assert "/etc/systemd/system/havre.service runs at boot" in havre(server, *reboot)
    havre(server, "boot", "remove")
    assert "nothing brings the edge and its routes back after a reboot" in havre(server, *reboot, check=False)
    assert server.run("systemctl", "is-enabled", "havre.service", check=False).stdout.strip() in ("not-found", "")
    said = havre(server, "doctor", check=False)
    assert "nothing brings this server's apps back after a reboot" in said
    assert "hint: `havre boot install`" in said
    havre(server, "boot", "install")
    assert shown(server, "UnitFileState") == ["enabled"]
    assert "nothing brings" not in havre(server, "doctor", check=False)


PAGES = {
    "compose.yaml": "services:\n  web:\n    image: pages\n    expose: ['8000']\n    restart: unless-stopped\n",
    "havre.yaml": (
        "app: pages\nroutes: [{host: pages.localhost, to: 'web:8000', https_redirect: false}]\n"
        "processes: {web: {command: 'python3 -m http.server $PORT --bind $HOST'}}\n"
    ),
}
SOURCE = Path(__file__).parents[3] / "src"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


def as_ann(made: Machine, script: str, *, check: bool = True) -> str:
    """What a login of hers said, in her app's directory, as one line."""
    done = made.run("runuser", "-l", "ann", "-c", f"cd pages && {script}", check=check, seconds=120)
    return " ".join((done.stdout + done.stderr).replace("|", " ").split())


@needs_root
def test_a_users_own_apps_come_back_without_a_login(server: Machine) -> None:
    server.run("useradd", "--create-home", "--shell", "/bin/sh", "ann")
    for name, text in PAGES.items():
        server.write(f"/home/ann/pages/{name}", text)
    server.run("chown", "-R", "ann:", "/home/ann")
    site = Path(msgspec.__file__).parents[1]
    server.write(f"/usr/local/lib/{PYTHON}/dist-packages/havre.pth", f"{SOURCE}\n{site}\n")
    deployed = as_ann(server, "python3 -m havre deploy -y --engine process")
    if "may not let units run without a login" in deployed:
        assert "hint: `sudo loginctl enable-linger ann`, then `havre boot install`" in deployed
        server.run("loginctl", "enable-linger", "ann")
        as_ann(server, "python3 -m havre boot install")
    told = as_ann(server, "python3 -m havre boot")
    assert "come back: /home/ann/.config/systemd/user/havre.service" in told
    assert "nothing brings" not in as_ann(server, "python3 -m havre doctor", check=False)
    server.reboot()
    asked = ("--retry", "40", "--retry-delay", "1", "--retry-all-errors", "http://pages.localhost:8080/")
    assert "Directory listing" in server.run("curl", "-sSf", *asked).stdout
    assert scopes(server, "ann") == {"haproxy", "python3"}, "what outlives a login is no part of it"
    assert server.run("loginctl", "show-user", "ann", "-p", "Sessions", "--value").stdout.strip() == ""
