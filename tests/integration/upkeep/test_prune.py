"""Keeping the disk free on a real engine: what no release needs goes, and nothing else does."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import run_havre
from ending import end_helpers

pytestmark = pytest.mark.docker

COMPOSE = """
services:
  web:
    build: ./web
    init: true
    command: {command}
    stop_grace_period: 1s
    mem_limit: 32m
    logging: {{driver: json-file, options: {{max-size: 10k, max-file: "3"}}}}
    volumes: ["data:/data"]
volumes: {{data: {{}}}}
"""


class App:
    """One service whose image changes with `version`, and which keeps one release to go back to."""

    def __init__(self, directory: Path, state: Path, name: str) -> None:
        self.directory, self.name = directory, name
        (directory / "web").mkdir(parents=True)
        (directory / "state").symlink_to(state)

    def write(self, version: int, command: str = "sleep 600") -> None:
        (self.directory / "web" / "Dockerfile").write_text(f"FROM alpine\nCOPY noise /{version}\n")
        (self.directory / "web" / "noise").write_bytes(os.urandom(300_000))
        (self.directory / "compose.yaml").write_text(COMPOSE.format(command=command))
        (self.directory / "havre.yaml").write_text(f"app: {self.name}\nkeep_releases: 1\n")

    def deploy(self, version: int, command: str = "sleep 600", *, check: bool = True) -> None:
        self.write(version, command)
        self.havre("deploy", "-y", "--engine", "docker", check=check)

    def havre(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run_havre(self.directory, *arguments, check=check)

    def images(self) -> set[str]:
        return set(docker("images", "-q", "--no-trunc", "--filter", f"label=havre.instance={self.name}").split())


def docker(*words: str, stdin: str = "") -> str:
    done = subprocess.run(["docker", *words], input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, App, App]]:
    """Two apps of one server, and one of another server's (another state directory) on the same engine."""
    base, mark = tmp_path_factory.mktemp("prune"), uuid.uuid4().hex[:6]
    states = [base / "state", base / "other-state"]
    for number, state in enumerate(states):
        state.mkdir()
        port = 27000 + (os.getpid() + number) % 2000
        (state / "server.yaml").write_text(f"http_port: {port}\nhttps_port: 0\nbind: [127.0.0.1]\n")
    made = (
        App(base / "one", states[0], f"prone{mark}"),
        App(base / "two", states[0], f"prtwo{mark}"),
        App(base / "alien", states[1], f"pralien{mark}"),
    )
    for app in made:
        app.deploy(1)
    yield made
    for app in made:
        app.havre("down", "-y", "--volumes", "--confirm", app.name, check=False)
        for image in app.images():
            docker("rmi", "-f", image)
    for state in states:
        end_helpers(state)


def pruned(app: App, *more: str) -> Any:
    return json.loads(app.havre("prune", "--json", *more).stdout)


def test_a_release_takes_the_images_of_those_that_are_no_longer_kept_with_it(apps: tuple[App, App, App]) -> None:
    app = apps[0]
    app.deploy(2)
    kept = app.images()
    app.deploy(3)
    assert len(kept) == 2
    assert len(app.images()) == 2, "the one that serves, and one to go back to"
    app.havre("rollback", "-y")
    assert app.havre("exec", "web", "ls", "/2").stdout == "/2\n"


def test_prune_shows_first_and_takes_only_what_no_release_needs(apps: tuple[App, App, App]) -> None:
    one, two, alien = apps
    two.havre("stop", "-y")
    stranger = f"stranger{uuid.uuid4().hex[:6]}/tool:1"
    docker("build", "-t", stranger, "-", stdin=f"FROM {one.name}/web\nENV mine=1\n")
    one.write(77)
    docker("build", "--label", f"havre.instance={one.name}", "-t", f"{one.name}/web:gone", str(one.directory / "web"))
    before = {app.name: app.images() for app in apps}
    volumes = docker("volume", "ls", "-q")

    shown = pruned(one)
    assert [entry["name"] for entry in shown["removals"] if entry["kind"] == "image"] == [f"{one.name}/web:gone"]
    assert (shown["removed"], shown["bytes"] > 290_000) == (False, True)
    assert {app.name: app.images() for app in apps} == before, "nothing was touched yet"
    refused = one.havre("prune", check=False)
    assert (refused.returncode, "give --yes" in refused.stderr) == (2, True)

    said = one.havre("prune", "-y").stdout
    assert f"removed image {one.name}/web:gone" in said
    assert docker("images", "-q", stranger)
    after = {app.name: app.images() for app in apps}
    assert len(before[one.name] - after[one.name]) == 1
    assert (after[two.name], after[alien.name]) == (before[two.name], before[alien.name])
    assert set(docker("volume", "ls", "-q").split()) >= {f"{app.name}_data" for app in apps} & set(volumes.split())
    two.havre("start", "-y")
    assert two.havre("ps", "-q", "--json").stdout.count('"running"') == 1
    docker("rmi", stranger)


def test_what_failed_stays_until_the_next_release_fails_too(apps: tuple[App, App, App]) -> None:
    app = apps[1]
    app.deploy(1, "false", check=False)
    assert pruned(app)["leftovers"] == [], "`havre logs --failed` still shows why"
    app.deploy(1, "sh -c 'exit 4'", check=False)
    kept = docker("ps", "-aq", "--filter", f"label=havre.instance={app.name}").split()
    found = pruned(app, "-y")["leftovers"]
    left = docker("ps", "-aq", "--filter", f"label=havre.instance={app.name}").split()
    assert len(kept) - len(left) == len(found)
    assert docker("ps", "-q", "--filter", f"label=havre.instance={app.name}"), "what serves still runs"


def test_an_app_that_a_command_holds_is_left_alone(apps: tuple[App, App, App]) -> None:
    from havre.host.locks import exclusive

    app = apps[0]
    lock = app.directory / "state" / "locks" / f"{app.name}.lock"
    docker("build", "--label", f"havre.instance={app.name}", "-t", f"{app.name}/web:idle", str(app.directory / "web"))
    with exclusive(lock, what="it", doing="deploy, release 9"):
        found = pruned(app, "-y")
    assert (found["held"], found["removals"]) == ([app.name], [])
    assert pruned(app, "-y")["held"] == []
    assert f"{app.name}/web:idle" not in docker("images", "--format", "{{.Repository}}:{{.Tag}}")


def test_only_rotated_logs_that_are_old_go(apps: tuple[App, App, App]) -> None:
    app = apps[0]
    app.havre("exec", "web", "sh", "-c", "for n in 1 2 3 4; do seq 1 1500 > /proc/1/fd/1; sleep 0.3; done")
    container = docker("ps", "-q", "--no-trunc", "--filter", f"label=havre.instance={app.name}").strip()
    root = Path(docker("info", "-f", "{{.DockerRootDir}}").strip()) / "containers" / container
    rotated = sorted(root.glob("*-json.log.*"))
    assert len(rotated) == 2
    os.utime(rotated[1], (0, 0))
    assert [entry["id"] for entry in pruned(app, "-y")["removals"] if entry["kind"] == "log"] == [str(rotated[1])]
    assert [path.exists() for path in (*rotated, root / f"{container}-json.log")] == [True, False, True]
    assert "1500" in app.havre("logs", "--tail", "5", "web").stdout


def test_a_full_disk_is_the_first_finding_and_names_what_takes_the_room(
    apps: tuple[App, App, App], tmp_path: Path
) -> None:
    alien = apps[2]
    state, small = (alien.directory / "state").resolve(), tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(small)], check=True)
    try:
        for part in ("havre.db", "keys", "server.yaml"):
            subprocess.run(["cp", "-r", str(state / part), str(small)], check=True)
        (small / "backups").mkdir()
        (small / "backups" / "old").write_bytes(bytes(30_000_000))
        done = run_havre(alien.directory, "doctor", "--state", str(small), check=False)
    finally:
        subprocess.run(["umount", str(small)], check=True)
    said = " ".join(done.stdout.replace("|", " ").split())
    assert done.returncode == 1
    assert said.startswith(f"error: server: the disk of {small} is full")
    assert f"takes the room: 28.6 MiB backups {small}/backups" in said
    assert "`havre prune` shows what may go" in said


def test_disk_says_what_takes_the_room_and_whose_it_is(apps: tuple[App, App, App]) -> None:
    app = apps[0]
    app.havre("exec", "web", "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x > /data/big")
    found = json.loads(app.havre("disk", "--json").stdout)
    by_name = {entry["name"]: entry for entry in found["consumers"]}
    volume = by_name[f"{app.name}_data"]
    assert (volume["kind"], volume["instance"]) == ("volume", app.name)
    assert volume["bytes"] >= 3_000_000
    assert by_name["python:3.11-slim"]["instance"] == "", "not Havre's"
    assert {"image", "volume", "state"} <= {entry["kind"] for entry in found["consumers"]}
    assert all(
        len(line) <= 80 for line in app.havre("disk").stdout.splitlines() if str(app.directory.parent) not in line
    )


def test_an_app_that_is_taken_down_with_its_data_leaves_no_image(apps: tuple[App, App, App]) -> None:
    app = apps[0]
    app.havre("down", "-y")
    assert pruned(app)["removals"] == [], "it was only taken down: `havre rollback` brings it back"
    assert app.images()
    app.havre("down", "-y", "--volumes", "--confirm", app.name)
    assert app.images() == set()
