"""Two apps that want the same port, domain, subnet and memory: all conflicts in one answer, and proposals that work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from havre.cli.edge import edge_for
from havre.host.facts import server_facts
from havre.store.state import State
from havre.workflows.demo import free_port

pytestmark = pytest.mark.docker

COMPOSE = """\
services:
  kv:
    image: redis:7-alpine
    ports: ["127.0.0.1:{port}:6379"]
    networks: [inside]
    mem_limit: {memory}m
    healthcheck: {{test: "redis-cli ping | grep -q PONG", interval: 2s}}
networks:
  inside: {{ipam: {{config: [{{subnet: {subnet}}}]}}}}
"""


@dataclass
class App:
    directory: Path
    name: str

    def write(self, *, port: int, host: str, subnet: str, memory: int) -> None:
        self.directory.mkdir(exist_ok=True)
        text = COMPOSE.format(port=port, subnet=subnet, memory=memory)
        (self.directory / "compose.yaml").write_text(text)
        route = f"{{host: {host}, redirect: 'https://example.org'}}"
        (self.directory / "havre.yaml").write_text(f"app: {self.name}\nroutes: [{route}]\n")

    def havre(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HAVRE_STATE": str(self.directory.parent / "state"), "COLUMNS": "200"}
        return subprocess.run(
            [sys.executable, "-m", "havre", *arguments, "--engine", "docker"],
            cwd=self.directory, env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip


@pytest.fixture
def apps(tmp_path: Path) -> Iterator[tuple[App, App]]:
    state = tmp_path / "state"
    state.mkdir()
    port = free_port(30000 + os.getpid() % 2000)
    (state / "server.yaml").write_text(f"http_port: {port}\nhttps_port: 0\nbind: [127.0.0.1]\n")
    unique = uuid.uuid4().hex[:5]
    both = App(tmp_path / "a", f"one{unique}"), App(tmp_path / "b", f"two{unique}")
    yield both
    for app in both:
        if app.directory.exists():
            app.havre("down", "-y", "--volumes", "--confirm", app.name)
    edge_for(State(state)).stop()


def test_every_conflict_is_told_at_once_and_every_proposal_works(apps: tuple[App, App]) -> None:
    first, second = apps
    most = server_facts().memory_total // 1024**2
    port, subnet = free_port(31000 + os.getpid() % 2000), f"10.{os.getpid() % 200 + 20}.3.0/24"
    first.write(port=port, host="one.localhost", subnet=subnet, memory=most * 6 // 10)
    second.write(port=port, host="one.localhost", subnet=subnet, memory=most * 6 // 10)
    assert first.havre("deploy", "-y").returncode == 0

    refused = second.havre("deploy", "-y")
    assert refused.returncode == 3
    said = refused.stderr
    assert f"port {port}/tcp wanted by {second.name}/kv belongs to {first.name}" in said
    assert f"{first.directory}/compose.yaml:4:13" in said
    assert f"one.localhost/ belongs to {first.name}" in said
    assert f"overlaps network {first.name}_inside of {first.name}, {subnet}" in said
    assert "of memory for all that its apps may use" in said
    assert re.search(rf"{first.name} +[\d.]+ GiB", said), "the table names the other app"
    assert second.havre("releases", "--json").stdout.strip() in ("[]", ""), "nothing was begun"

    free = re.search(r'publish a free port: `"127\.0\.0\.1:(\d+):6379"`', said)
    net = re.search(r"use ([\d./]+), which is free here", said)
    host = re.search(r"another host, such as ([\w.]+);", said)
    limit = re.search(r"it fits with kv `mem_limit: (\d+)m`", said)
    assert free
    assert net
    assert host
    assert limit
    second.write(port=int(free[1]), host=host[1], subnet=net[1], memory=int(limit[1]))
    done = second.havre("deploy", "-y")
    assert done.returncode == 0, done.stderr
    listed = first.havre("ports").stdout
    assert re.search(rf"{port}/tcp +127\.0\.0\.1 +{first.name}", listed)
    assert re.search(rf"{free[1]}/tcp +127\.0\.0\.1 +{second.name}", listed)
    assert first.havre("deploy", "-y").returncode == 0, "the first app is no worse for its neighbour"


def test_a_waived_conflict_is_shown_and_recorded_in_the_release(apps: tuple[App, App]) -> None:
    app = apps[0]
    most = server_facts().memory_total // 1024**2
    port = free_port(32000 + os.getpid() % 2000)
    app.write(port=port, host="waived.localhost", subnet=f"10.{os.getpid() % 200 + 20}.4.0/24", memory=most)
    assert app.havre("deploy", "-y").returncode == 3
    manifest = app.directory / "havre.yaml"
    text = "waivers: [{check: memory-admission, reason: the migration is short, until: 2999-01-01}]\n"
    manifest.write_text(manifest.read_text() + text)
    done = app.havre("deploy", "-y")
    assert done.returncode == 0, done.stderr
    assert "memory-admission waived until 2999-01-01" in done.stderr
    assert "reason: the migration is short" in done.stderr
    assert "memory-admission waived until 2999-01-01" in app.havre("releases", "1").stdout
