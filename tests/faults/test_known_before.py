"""Faults that are known before anything is touched: a real deploy is refused, the message helps, nothing was made."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from havre.engines.docker.engine import DockerEngine

pytestmark = pytest.mark.docker

GOOD_DB = "db: {image: 'postgres:15-alpine', environment: {POSTGRES_PASSWORD: kx8812-a}, mem_limit: 64m}"
FREE_PORT = 47123


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is written, and what the refusal must say; `hides` must not appear anywhere."""

    services: str
    says: tuple[str, ...]
    rest: str = ""
    env: str = ""
    files: dict[str, str] = field(default_factory=dict)
    hides: tuple[str, ...] = ()


FAULTS = {
    "F1 a port held by another program": Fault(
        services=f"web: {{image: 'nginx:alpine', ports: ['127.0.0.1:{FREE_PORT}:80'], mem_limit: 64m}}",
        says=(
            f"port {FREE_PORT}/tcp wanted by",
            f"is held by pid {os.getpid()} (",
            f'"127.0.0.1:{FREE_PORT + 1}:80"',
            "compose.yaml:2:",
        ),
    ),
    "F3 one port asked for twice": Fault(
        services="a: {image: 'nginx:alpine', ports: ['8099:80']}\n  b: {image: 'nginx:alpine', ports: ['8099:80']}",
        says=("compose.yaml:3:", "8099/tcp", "compose.yaml:2:"),
    ),
    "F4 a required password that is unset": Fault(
        services="db: {image: 'postgres:15-alpine', environment: {POSTGRES_PASSWORD: '${DB_PW:-}'}, mem_limit: 64m}",
        says=("POSTGRES_PASSWORD is required by postgres:15-alpine", "compose.yaml:2:", "secrets generate"),
    ),
    "F5 placeholders, all of them": Fault(
        services="web: {image: 'nginx:alpine', environment: {JWT_SECRET: '${JWT}', API_TOKEN: your-token-here}}",
        env="JWT=CHANGE_ME_now\n",
        says=(".env:1", "the value of JWT is a placeholder", "the value of API_TOKEN is a placeholder"),
        hides=("CHANGE_ME_now", "your-token-here"),
    ),
    "F6 a command in an env file": Fault(
        services="web: {image: 'nginx:alpine', environment: {JWT_SECRET: '${JWT}'}}",
        env="A=1\nJWT=$(openssl rand -hex 32)\n",
        says=(".env:2", "env files never run", "64 random hexadecimal characters"),
    ),
    "F8 passwords that differ": Fault(
        services=f"{GOOD_DB}\n  web: {{image: 'nginx:alpine', environment: "
        "{DATABASE_URL: 'postgres://postgres:zz7719-b@db/x'}}",
        says=("web and db disagree about the password", "compose.yaml:3:", "POSTGRES_PASSWORD at compose.yaml:2:"),
        hides=("kx8812-a", "zz7719-b"),
    ),
    "F10 a health check that cannot fail": Fault(
        services="kv: {image: 'redis:7-alpine', command: redis-server --requirepass kx8812-a, "
        "healthcheck: {test: [CMD, redis-cli, ping]}}",
        says=("cannot fail", "NOAUTH", "REDISCLI_AUTH", "grep -q PONG"),
        hides=("kx8812-a",),
    ),
    "F11 a default of two quotes": Fault(
        services="""kv: {image: 'redis:7-alpine', environment: {REDIS_PASSWORD: '${RPW:-""}'}}""",
        says=("is two quote characters", "write `${NAME:-}`"),
    ),
    "F12 a tool the image lacks": Fault(
        services="web: {image: 'python:3.11-slim', command: sleep 60, "
        "healthcheck: {test: [CMD, curl, -f, 'http://localhost:3000/']}}",
        says=("runs `curl`, which its image does not have", "the image has python3", "health check: curl -f"),
    ),
    "F31 a mounted file that is missing": Fault(
        services="web: {image: 'nginx:alpine', volumes: ['./nginx.conf:/etc/nginx/nginx.conf:ro']}",
        files={"deploy/nginx.conf": "events {}"},
        says=("./nginx.conf does not exist", "did you mean ./deploy/nginx.conf?", "compose.yaml:2:"),
    ),
    "F34 an external network that is missing": Fault(
        services="web: {image: 'nginx:alpine', networks: [backbone]}",
        rest="networks: {backbone: {external: true, name: no-such-net-77}}",
        says=("the external network no-such-net-77 does not exist", "docker network create no-such-net-77"),
    ),
    "F35 a subnet that overlaps": Fault(
        services="web: {image: 'nginx:alpine', networks: [n]}",
        rest="networks: {n: {ipam: {config: [{subnet: 172.17.0.0/24}]}}}",
        says=("subnet 172.17.0.0/24 of network n overlaps network bridge", "which is free here"),
    ),
    "F40 sources a build lacks": Fault(
        services="web: {build: {context: ./web}}",
        files={
            "web/Dockerfile": "FROM alpine\nCOPY requirements.txt a.ini ./\nRUN npm ci\n",
            "web/requirement.txt": "x",
        },
        says=(
            "web/Dockerfile:2",
            "COPY requirements.txt: it is not in the build context",
            "did you mean requirement.txt?",
            "COPY a.ini",
            "package-lock.json",
        ),
    ),
    "F43 a secret in browser code": Fault(
        services="web: {image: 'nginx:alpine', environment: {NEXT_PUBLIC_SERVICE_KEY: kx8812-a}}",
        says=("NEXT_PUBLIC_SERVICE_KEY is built into what browsers download", "rotate"),
        hides=("kx8812-a",),
    ),
}


@pytest.fixture
def held_port() -> Iterator[None]:
    with socket.create_server(("127.0.0.1", FREE_PORT)):
        yield


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.usefixtures("held_port")
def test_a_fault_is_explained_before_anything_is_touched(name: str, tmp_path: Path) -> None:
    fault, instance = FAULTS[name], f"f{uuid.uuid4().hex[:8]}"
    (tmp_path / "compose.yaml").write_text(f"services:\n  {fault.services}\n{fault.rest}\n")
    (tmp_path / "havre.yaml").write_text(f"app: {instance}\n")
    (tmp_path / ".env").write_text(fault.env)
    for path, text in fault.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    before = _things()
    done = _deploy(tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode in (2, 3), said
    for words in fault.says:
        assert words in said, said
    assert "hint:" in said
    assert not any(hidden in said for hidden in fault.hides)
    assert not {thing for thing in _things() - before if instance in thing}, "nothing was made"


def _deploy(directory: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HAVRE_STATE": str(directory / "state"), "COLUMNS": "400"}
    return subprocess.run(
        [sys.executable, "-m", "havre", "deploy", "-y", "--engine", "docker"],
        cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def _things() -> set[str]:
    """The names of every container, network and volume of the engine."""
    client = DockerEngine().client
    containers = client.get("/containers/json", {"all": True}, doing="list")
    networks = client.get("/networks", doing="list")
    volumes = client.get("/volumes", doing="list")["Volumes"] or []
    return {
        *(name for entry in containers for name in entry["Names"]),
        *(entry["Name"] for entry in networks),
        *(entry["Name"] for entry in volumes),
    }
