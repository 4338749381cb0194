"""A database that is still being made: nobody is let at it, and who comes too early is told to wait (F23)."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import run_havre
from ending import end_helpers

from havre.workflows.demo import free_port

pytestmark = pytest.mark.docker

COMPOSE = """\
services:
  db:
    image: postgres:15-alpine
    environment: {POSTGRES_PASSWORD: kx8812aa7719zz, POSTGRES_USER: shop}
    volumes: ["./first.sh:/docker-entrypoint-initdb.d/first.sh:ro", "data:/var/lib/postgresql/data"]
    mem_limit: 128m
    healthcheck: {test: ["CMD-SHELL", "pg_isready -U shop"], interval: 1s, retries: 60}
  web:
    image: postgres:15-alpine
    entrypoint: ["sh", "-c", "psql -h db -U shop -d shop -Atc 'select made from first' && exec sleep 600"]
    environment: {PGPASSWORD: kx8812aa7719zz}
    mem_limit: 64m
    stop_grace_period: 0s
    depends_on: {db: {condition: service_healthy}}
  early:
    image: postgres:15-alpine
    entrypoint: ["sh", "-c", "until psql -h db -U shop -d shop -Atc 'select 1'; do sleep 1; done; exec sleep 600"]
    environment: {PGPASSWORD: kx8812aa7719zz}
    mem_limit: 64m
    stop_grace_period: 0s
volumes: {data: {}}
networks: {default: {}}
"""
FIRST = """\
psql -U shop -d shop -c "create table first as select 'made' as made"
touch /tmp/begun
sleep 6
"""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "state").mkdir()
    port = free_port(29000)
    (tmp_path / "state/server.yaml").write_text(f"http_port: {port}\nhttps_port: 0\nbind: [127.0.0.1]\n")
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "first.sh").write_text(FIRST)
    name = f"made{uuid.uuid4().hex[:6]}"
    (tmp_path / "havre.yaml").write_text(f"app: {name}\n")
    yield tmp_path
    run_havre(tmp_path, "down", "-y", "--volumes", "--confirm", name, check=False)
    end_helpers(tmp_path / "state")


def test_a_database_that_only_answers_itself_is_not_healthy_yet_and_who_waits_finds_it_whole(app: Path) -> None:
    """The image's own server of the first minute passes `pg_isready` over its socket file, and then goes away."""
    name = (app / "havre.yaml").read_text().split()[1]
    done = run_havre(app, "deploy", "-y", "--engine", "docker")
    assert "serves" in done.stdout
    assert _logs(app, "web") == ["made"], "it came once, and nothing was missing"
    early = _logs(app, "early")
    assert any("refused" in line for line in early), "who did not wait was too early"
    assert early[-1] == "1", "and got in once the database was there"
    restarts = ["docker", "inspect", "-f", "{{.RestartCount}}", f"{name}-web-1"]
    assert subprocess.run(restarts, capture_output=True, text=True, check=True).stdout.strip() == "0"
    assert run_havre(app, "doctor").returncode == 0, "what is over is no finding"


def _logs(app: Path, service: str) -> list[str]:
    lines = run_havre(app, "logs", service, "--json").stdout.splitlines()
    return [text for line in lines if (text := json.loads(line)["text"].strip())]
