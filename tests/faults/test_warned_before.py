"""Faults that a release may survive: one look warns of all of them, each once however many services have it."""

from __future__ import annotations

import uuid

import pytest
from command import run_havre

pytestmark = pytest.mark.docker

COMPOSE = """\
services:
  api:
    build: ./src
    environment: {SERVER_ENV: production}
    env_file: [win.env]
    depends_on: [db]
    healthcheck: {test: "curl -sf http://localhost:8000/docs"}
  db:
    image: postgres:15-alpine
    environment: {POSTGRES_PASSWORD: "${PW}"}
    ports: ["47251:5432"]
  cache:
    image: redis
    command: redis-server --save "" && echo up
"""
WARNINGS = {
    "F16 a page that needs no database": (
        "compose.yaml:7:", "its health check asks /docs, which answers while db is down", "`/health`",
    ),
    "F41 a variable that nobody reads": (
        "compose.yaml:4:", "SERVER_ENV is set, and nothing in the sources of api reads it", "did you mean ENVIRONMENT",
    ),
    "F44 a database for everybody": (
        "compose.yaml:11:", "postgres is published on every address of the server", '`"127.0.0.1:47251:5432"`',
    ),
    "an image without a version": ("compose.yaml:13:", "its image has no version", "image: redis"),
    "logs without end, told once": (
        "warning: api, db, cache: nothing bounds the log [log-rotation]", "api: compose.yaml:2:", "max-size",
    ),
    "memory without end, told once": ("warning: api, db, cache: nothing limits the memory", "`mem_limit: 256m`"),
    "what Compose drops of a line": (
        "compose.yaml:14:", "Compose drops what stands at and behind `&&`", '`["sh", "-c", "…"]`',
    ),
    "no restart, told once": ("warning: api, db, cache: nothing starts it again", "add `restart: unless-stopped`"),
}  # fmt: skip


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What one `havre check` says, in one line."""
    directory = tmp_path_factory.mktemp("warned")
    (directory / "compose.yaml").write_text(COMPOSE)
    (directory / "havre.yaml").write_text(f"app: warned{uuid.uuid4().hex[:6]}\n")
    (directory / ".env").write_text("PW=kx8812aa7719zz\n")
    (directory / "win.env").write_bytes(b"\xef\xbb\xbfENVIRON=x\r\n")
    (directory / "src").mkdir()
    (directory / "src/Dockerfile").write_text("FROM python:3.11-slim\nCOPY main.py /main.py\n")
    (directory / "src/main.py").write_text("import os\nprint(os.environ['ENVIRONMENT'])\n")
    done = run_havre(directory, "check", "--engine", "docker", check=False, columns=200)
    assert done.returncode == 0, done.stdout
    shown = run_havre(directory, "config", check=False).stdout
    assert "ENVIRON: x" in shown, "a byte order mark and Windows line ends are no part of names and values"
    return " ".join(done.stdout.split())


@pytest.mark.parametrize("name", WARNINGS)
def test_a_fault_is_warned_of_with_its_place_and_a_next_step(name: str, said: str) -> None:
    for words in WARNINGS[name]:
        assert words in said, said
    assert "kx8812aa7719zz" not in said
