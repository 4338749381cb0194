"""Directories that several services write: copied while all of them stand still, restored as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from data_stand import Stand, docker

from havre.errors import FailedError, HavreError, InputError
from havre.host import clock
from havre.model.backup import BackupPolicy
from havre.model.route import AppEdge, Route, Upstream
from havre.workflows.backup import back_up
from havre.workflows.intent import Intent
from havre.workflows.places import place_of
from havre.workflows.restore import restore

pytestmark = [pytest.mark.docker, pytest.mark.slow]

COMPOSE = """
x-common: &common
  image: redis:7-alpine
  init: true
  stop_grace_period: 1s
services:
  web:
    <<: *common
    command: ["sh", "-c", "if [ -e /srv/uploads/broken ]; then echo no; exit 1; fi; exec sleep 600"]
    volumes: ["uploads:/srv/uploads", "./notes:/srv/notes"]
  worker:
    <<: *common
    command: ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
    volumes: ["uploads:/var/in", "./notes:/notes:ro"]
  reader:
    <<: *common
    command: ["sleep", "600"]
    environment: {UPLOADS: "http://web:80/"}
    volumes: ["uploads:/var/in:ro"]
volumes: {uploads: {}}
"""
CALLER = "what calls them (reader) waits up to 15 s, then goes on without"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    directory = tmp_path_factory.mktemp("files")
    (directory / "app/notes").mkdir(parents=True)
    made = Stand(directory, compose=COMPOSE)
    try:
        made.deploy()
        yield made
    finally:
        made.tear_down()


def kept(stand: Stand, repository: Path) -> Intent:
    policy = BackupPolicy(service="web", kind="volume", to=(str(repository),))
    return replace(stand.intent, app=replace(stand.intent.app, backups=(policy,)))


def sh(stand: Stand, script: str, service: str = "web") -> str:
    answer = place_of(stand.server, stand.name, service).ask(("sh", "-c", script))
    assert answer.exit_code == 0, answer
    return answer.output.strip()


def begun(stand: Stand, service: str) -> str:
    return docker("inspect", "-f", "{{.State.StartedAt}}", stand.container(service))


CONTENT = (
    "cd /srv/uploads; printf a > a; mkdir -p ü/leer; printf bb > 'ü/b c'; ln -sf a link; chmod 750 .; chown 33:44 a ."
)
LISTING = "cd /srv && find uploads notes | sort | xargs -d '\\n' stat -c '%n %A %u:%g %s'"


def test_all_who_write_stand_still_and_content_owners_and_modes_come_back(files: Stand, tmp_path: Path) -> None:
    intent = kept(files, tmp_path / "repo")
    sh(files, f"{CONTENT}; printf n > /srv/notes/n")
    before, times = sh(files, LISTING), {name: begun(files, name) for name in ("web", "worker", "reader")}
    told: list[str] = []
    began = clock.elapsed()
    [taken] = back_up(files.storage, intent, ["web"], progress=told.append)
    assert clock.elapsed() - began < 25, "the worker ignores the signal, and has a second to stop"
    assert told[0] == f"stopping web, worker for the time of it; {CALLER}", (
        "nothing leads to them, but to what calls them"
    )
    assert told[-1].startswith("back after ")
    assert (taken.parts[0].name, dict(taken.parts[0].counts)["files"]) == ("uploads", 2)
    assert {name for name, at in times.items() if begun(files, name) != at} == {"web", "worker"}
    sh(
        files,
        "rm -r /srv/uploads/a /srv/uploads/ü; printf x > /srv/uploads/extra; chown 0:0 /srv/uploads; rm /srv/notes/n",
    )
    restore(files.storage, intent, "web", taken.id, progress=told.append)
    assert [line.split()[0] for line in told] == ["stopping", "back"] * 3, "the backup before it, and the change itself"
    assert sh(files, LISTING) == before
    assert sh(files, "cat /var/in/a", "worker") == "a"
    restore(files.storage, intent, "web", taken.id, only=["uploads"], to=f"{files.name}-beside")
    try:
        listed = docker("run", "--rm", "-v", f"{files.name}-beside:/look", "--entrypoint", "sh", "redis:7-alpine", "-c",
                        "ls -A /look; stat -c %u:%g /look/a")  # fmt: skip
        assert listed.split("\n")[:4] == ["a", "link", "ü", "33:44"]
        with pytest.raises(InputError, match="there is already a volume"):
            restore(files.storage, intent, "web", taken.id, only=["uploads"], to=f"{files.name}-beside")
    finally:
        docker("volume", "rm", f"{files.name}-beside")


def test_requests_wait_for_those_who_stand_still_and_for_what_calls_them(files: Stand, tmp_path: Path) -> None:
    endpoints, told = (("reader", 80), ("web", 80)), list[str]()
    led = [(Upstream(name=f"{service}.1", address="10.0.0.9", port=port),) for service, port in endpoints]
    routes = tuple(Route(host=f"{service}.test", service=service, port=port) for service, port in endpoints)
    before = files.traffic.edge
    files.traffic.edge = AppEdge(instance=files.name, routes=routes, upstreams=tuple(zip(endpoints, led, strict=True)))
    files.traffic.events.clear()
    try:
        back_up(files.storage, kept(files, tmp_path / "repository"), ["web"], progress=told.append)
    finally:
        files.traffic.edge = before
    assert files.traffic.events == ["hold web:80", "hold reader:80", "lead again"]
    waiting = "requests wait up to 15 s, then get 503"
    assert told[0] == f"stopping web, worker for the time of it; {waiting}; {CALLER}"


def test_a_snapshot_that_cannot_be_read_changes_nothing(files: Stand, tmp_path: Path) -> None:
    intent = kept(files, tmp_path / "repo")
    sh(files, f"{CONTENT}; head -c 3000000 /dev/urandom > big")
    [taken] = back_up(files.storage, intent, ["web"])
    sh(files, "printf newer > /srv/uploads/a; rm /srv/uploads/big")
    for pack in (tmp_path / "repo/data").glob("*/*"):
        content = pack.read_bytes()
        pack.chmod(0o600)
        pack.write_bytes(content[: len(content) // 2])
    intact = kept(files, tmp_path / "other")
    with pytest.raises(HavreError):
        restore(files.storage, intact, "web", taken.id)
    assert sh(files, "cat /srv/uploads/a; ls -A /srv/uploads /srv/notes | grep -c havre || true") == "newer0"


def test_content_with_which_the_service_does_not_start_is_taken_back(files: Stand, tmp_path: Path) -> None:
    intent = kept(files, tmp_path / "repo")
    sh(files, "printf 1 > /srv/uploads/broken; printf old > /srv/uploads/a")
    [taken] = back_up(files.storage, intent, ["web"], live=True)
    sh(files, "rm /srv/uploads/broken; printf newer > /srv/uploads/a")
    with pytest.raises(FailedError, match="web"):
        restore(files.storage, intent, "web", taken.id, doubtful=True)
    assert sh(files, "cat /srv/uploads/a; ls -A /srv/uploads | grep -c -e havre -e broken || true") == "newer0"
