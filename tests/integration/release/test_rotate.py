"""A rotation changes the running servers and every dependent in one release, or takes all of it back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from havre.cli.edge import edge_for
from havre.store.state import State
from havre.workflows.demo import free_port

pytestmark = [pytest.mark.docker, pytest.mark.slow]

COMPOSE = """\
services:
  db:
    image: postgres:15-alpine
    environment: {POSTGRES_USER: app, POSTGRES_PASSWORD: "${DB_PASSWORD:?}"}
    volumes: ["data:/var/lib/postgresql/data"]
    healthcheck: {test: ["CMD-SHELL", "pg_isready -q -h 127.0.0.1 -U app"], interval: 2s, start_period: 30s}
    restart: unless-stopped
  kv:
    image: redis:7-alpine
    command: [sh, -c, 'exec redis-server --requirepass "$$REDIS_PASSWORD"']
    environment: {REDIS_PASSWORD: "${REDIS_PASSWORD:?}"}
    healthcheck: {test: 'REDISCLI_AUTH="$$REDIS_PASSWORD" redis-cli ping | grep -q PONG', interval: 2s}
    restart: unless-stopped
  client:
    image: postgres:15-alpine
    command: [sleep, "600"]
    environment: {DATABASE_URL: "postgres://app:${DB_PASSWORD}@db:5432/postgres"}
    depends_on: {db: {condition: service_healthy}}
    healthcheck: {test: 'psql "$$DATABASE_URL" -tAc "select 1" | grep -q WANTED', interval: 2s, timeout: 2s, retries: 2}
    restart: unless-stopped
    stop_grace_period: 0s
volumes: {data: }
"""


@dataclass
class App:
    directory: Path
    name: str

    def write(self, wanted: str = "1") -> None:
        (self.directory / "compose.yaml").write_text(COMPOSE.replace("WANTED", wanted))
        (self.directory / "havre.yaml").write_text(f"app: {self.name}\nsecrets: [DB_PASSWORD, REDIS_PASSWORD]\n")

    def havre(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HAVRE_STATE": str(self.directory / "state")}
        done = subprocess.run(
            [sys.executable, "-m", "havre", *arguments, "--engine", "docker"],
            cwd=self.directory, env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def secret(self, name: str) -> dict[str, object]:
        listed = json.loads(self.havre("secrets", "list", "--json").stdout)
        return next(one for one in listed if one["name"] == name)

    def logs_in(self) -> str:
        return self.havre("exec", "client", "sh", "-c", 'psql "$DATABASE_URL" -tAc "select 42"').stdout.strip()


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = App(tmp_path, f"rot{uuid.uuid4().hex[:6]}")
    (tmp_path / "state").mkdir()
    port = free_port(26000 + os.getpid() % 3000)
    (tmp_path / "state/server.yaml").write_text(f"http_port: {port}\nhttps_port: 0\nbind: [127.0.0.1]\n")
    app.write()
    app.havre("secrets", "generate")
    app.havre("deploy", "-y")
    yield app
    app.havre("down", "-y", "--volumes", "--confirm", app.name, check=False)
    edge_for(State(tmp_path / "state")).stop()


def test_a_rotation_reaches_the_server_and_every_dependent(app: App) -> None:
    done = app.havre("secrets", "rotate", "DB_PASSWORD", "-y")
    assert "rotated DB_PASSWORD in db; release 2 passed it on" in done.stdout
    assert app.logs_in() == "42"
    assert app.secret("DB_PASSWORD")["origin"] == "rotated"
    assert "rotated REDIS_PASSWORD in kv" in app.havre("secrets", "rotate", "REDIS_PASSWORD", "-y").stdout
    inside = 'REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli ping'
    assert app.havre("exec", "kv", "sh", "-c", inside).stdout.strip() == "PONG"


def test_a_rotation_that_cannot_be_released_is_taken_back(app: App) -> None:
    app.write(wanted="7")
    refused = app.havre("secrets", "rotate", "DB_PASSWORD", "-y", check=False)
    assert refused.returncode == 1
    assert "client.2: did not become healthy" in refused.stderr
    assert app.secret("DB_PASSWORD")["rotation_pending"] is False
    assert app.logs_in() == "42"
