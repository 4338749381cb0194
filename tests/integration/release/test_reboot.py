"""A server that was restarted: what the unit (or cron's line) runs brings every app back as it was."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from doomed import kill_edge
from shop import Shop


def test_after_a_reboot_the_unit_brings_the_same_routes_and_replicas_back(shop: Shop) -> None:
    shop.deploy()
    before = (shop.get(), shop.replicas(), _ports(shop))
    _cut_the_power(shop)
    with pytest.raises(ConnectionError):
        shop.get()
    told = _run_unit(shop)
    assert _soon(shop) == before[0]
    assert (shop.replicas(), _ports(shop)) == before[1:]
    assert f"{shop.name}: back" in told


def test_after_a_reboot_the_line_for_cron_settles_a_release_that_was_cut_off(shop: Shop) -> None:
    shop.deploy()
    _, before = shop.get()
    shop.write(web="2", api="2")
    with shop.start("deploy", "-y", "--engine", shop.engine) as release:
        assert release.stdout is not None
        next(line for line in release.stdout if "… start api" in line)
        release.kill()
    _cut_the_power(shop)
    line = shop.havre("boot", "cron").stdout.strip()
    command = line.removeprefix("@reboot ")
    subprocess.run(["sh", "-c", command], env={"HOME": "/root", "LOGNAME": "root"}, check=True, timeout=120)
    assert f"{shop.name}: back" in (shop.directory / "state/boot.log").read_text()
    assert _soon(shop) == (200, before)
    states = [release["state"] for release in shop.json("releases")][:3]
    assert states in (["interrupted", "serving"], ["serving", "interrupted", "superseded"]), "with or without a start"


def _run_unit(shop: Shop) -> str:
    """Its ExecStart with its Environment, and nothing else in the environment."""
    unit = shop.havre("boot", "unit").stdout
    variables = [shlex.split(text)[0] for text in re.findall(r"^Environment=(.*)$", unit, re.MULTILINE)]
    command = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert command is not None
    argv = ["env", "-i", *variables, *shlex.split(command[1])]
    done = subprocess.run(argv, cwd="/", capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _soon(shop: Shop) -> tuple[int, object]:
    """What a visitor gets, after the two seconds within which the edge sees that a replica is there again."""
    deadline = time.monotonic() + 5
    while (answer := shop.get())[0] != 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def _ports(shop: Shop) -> list[object]:
    return [(port["address"], port["port"]) for port in shop.json("ports")["ports"] if port["instance"] == shop.name]


def _cut_the_power(shop: Shop) -> None:
    """Kill everything at once, as a lost machine would, and lose what lies in memory: sockets and process ids."""
    state = shop.directory / "state"
    os.kill(int((state / "edge/run/supervisor.pid").read_text()), signal.SIGKILL)
    kill_edge(state)
    if shop.engine == "docker":
        _stop_containers(shop)
    for process in list(_processes_of(state)):
        os.kill(process, signal.SIGKILL)
    time.sleep(0.3)
    for socket in [*state.rglob("*.sock"), *state.rglob("*.pid")]:
        socket.unlink()
    shutil.rmtree(state / "edge/run")


def _stop_containers(shop: Shop) -> None:
    """And start them in another order, as Docker does when it starts: each gets an address that another had."""
    label = f"label=havre.instance={shop.name}"
    found = subprocess.run(
        ["docker", "ps", "-q", "--filter", label], capture_output=True, text=True, check=True
    ).stdout.split()
    subprocess.run(["docker", "kill", *found], check=True, capture_output=True)
    subprocess.run(["docker", "start", *reversed(found)], check=True, capture_output=True)


def _processes_of(state: Path) -> Iterator[int]:
    """Supervisor, shims and replicas of a state directory."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command, mounts = (entry / "cmdline").read_bytes(), (entry / "mountinfo").read_text()
        except OSError:
            continue
        if f"{state}/process" in command.decode(errors="replace") or (
            b"/app/app.py" in command and str(state) in mounts
        ):
            yield int(entry.name)
