"""The lab's images behave as the official ones do wherever a deployment could notice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ENV = Path(os.environ.get("HAVRE_LAB_DIR", "/var/lib/havre-lab"), "env")

pytestmark = pytest.mark.docker


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Both streams as one, because containers and clients are not careful about which they use."""
    address = dict(line.split("=", 1) for line in ENV.read_text().splitlines()) if ENV.exists() else {}
    return subprocess.run(
        ["docker", *arguments], env=os.environ | address, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture
def start() -> Iterator[Callable[..., str]]:
    """Start a container in the background and return its name; what was started is removed with its volumes."""
    names: list[str] = []

    def run(*arguments: str) -> str:
        names.append(f"lab-test-{uuid.uuid4().hex[:8]}")
        started = docker("run", "--detach", "--name", names[-1], *arguments)
        assert started.returncode == 0, started.stdout
        return names[-1]

    yield run
    for name in names:
        docker("rm", "--force", "--volumes", name)


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


def test_bringing_the_lab_up_again_builds_nothing() -> None:
    again = subprocess.run([sys.executable, "lab/up.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "0 built" in again.stdout or "official" in again.stdout


@pytest.mark.parametrize(
    ("image", "has", "lacks"),
    [
        ("python:3.11-slim", "python python3 pip", "curl wget gcc"),
        ("node:20-alpine", "node npm npx wget", "curl python3"),
        ("postgres:15-alpine", "psql pg_isready pg_dump pg_basebackup wget", "curl"),
        ("redis:7-alpine", "redis-server redis-cli wget", "curl"),
        ("nginx:alpine", "nginx curl wget", "python3"),
        ("haproxy:lts-alpine", "haproxy", "curl"),
        ("debian:bookworm-slim", "bash apt-get", "curl wget python3"),
        ("alpine:3", "sh wget apk adduser", "curl python3"),
    ],
)
def test_an_image_has_and_lacks_the_tools_of_the_official_one(image: str, has: str, lacks: str) -> None:
    script = f"for tool in {has} {lacks}; do command -v $tool >/dev/null && echo $tool; done; true"
    assert docker("run", "--rm", "--entrypoint", "sh", image, "-c", script).stdout.split() == has.split()


def test_postgres_refuses_to_start_without_a_password() -> None:
    refused = docker("run", "--rm", "postgres:15-alpine")
    assert refused.returncode == 1
    assert "superuser password is not specified" in refused.stdout


def test_postgres_creates_user_and_database_and_runs_the_first_scripts(
    start: Callable[..., str], tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "password").write_text("it's secret\n")
    (tmp_path / "first.sql").write_text("CREATE TABLE seen AS SELECT current_user AS by;\n")
    name = start(
        *("-e", "POSTGRES_USER=captain", "-e", "POSTGRES_DB=ship", "-e", "POSTGRES_PASSWORD_FILE=/secret/password"),
        *("-v", f"{tmp_path}:/secret:ro", "-v", f"{tmp_path}/first.sql:/docker-entrypoint-initdb.d/first.sql:ro"),
        "postgres:15-alpine",
    )
    wait_for(lambda: docker("exec", name, "pg_isready", "-q", "-h", "127.0.0.1").returncode == 0)
    by_tcp = ("exec", "-e", "PGPASSWORD=it's secret", name, "psql", "-h", docker_address(name), "-U", "captain", "ship")
    assert docker(*by_tcp, "-Atc", "SELECT by FROM seen").stdout.strip() == "captain"
    wrong = ("exec", "-e", "PGPASSWORD=guess", name, "psql", "-h", docker_address(name), "-U", "captain", "ship")
    assert "password authentication failed" in docker(*wrong, "-c", "SELECT 1").stdout


def test_postgres_keeps_its_data_and_skips_the_scripts_on_the_second_start(start: Callable[..., str]) -> None:
    name = start("-e", "POSTGRES_PASSWORD=x", "postgres:15-alpine")
    wait_for(lambda: docker("exec", name, "pg_isready", "-q", "-h", "127.0.0.1").returncode == 0)
    assert docker("exec", name, "psql", "-U", "postgres", "-c", "CREATE TABLE kept ()").returncode == 0
    docker("restart", name)
    wait_for(lambda: docker("exec", name, "pg_isready", "-q", "-h", "127.0.0.1").returncode == 0)
    assert docker("exec", name, "psql", "-U", "postgres", "-c", "TABLE kept").returncode == 0
    assert "Skipping initialization" in docker("logs", name).stdout


def test_redis_refuses_a_ping_without_its_password_and_still_exits_with_0(start: Callable[..., str]) -> None:
    name = start("redis:7-alpine", "redis-server", "--requirepass", "open sesame")
    ping = ("redis-cli", "ping")
    wait_for(lambda: "PONG" in docker("exec", "-e", "REDISCLI_AUTH=open sesame", name, *ping).stdout)
    refused = docker("exec", name, *ping)
    assert "NOAUTH" in refused.stdout
    assert refused.returncode == 0


def test_redis_answers_other_containers_without_a_password_when_none_is_set(start: Callable[..., str]) -> None:
    name = start("redis:7-alpine")
    wait_for(lambda: "PONG" in docker("exec", name, "redis-cli", "ping").stdout)
    other = docker("run", "--rm", "redis:7-alpine", "redis-cli", "-h", docker_address(name), "ping")
    assert other.stdout.strip() == "PONG"


def test_nginx_fills_its_templates_from_the_environment(start: Callable[..., str], tmp_path: Path) -> None:
    template = "server { listen ${PORT}; location / { return 200 '$host ${GREETING}'; } }\n"
    (tmp_path / "site.conf.template").write_text(template)
    tmp_path.chmod(0o755)
    name = start(
        *("-e", "PORT=8080", "-e", "GREETING=ahoy"),
        *("-v", f"{tmp_path}:/etc/nginx/templates:ro"),
        "nginx:alpine",
    )
    fetch = ("exec", name, "wget", "-qO-", "http://127.0.0.1:8080/")
    wait_for(lambda: docker(*fetch).stdout == "127.0.0.1 ahoy")


def test_the_python_image_installs_packages_where_official_images_keep_them() -> None:
    where = "import click, os; print(os.path.realpath(click.__file__))"
    script = f'pip install -q click==8.1.8 2>/dev/null && python -c "{where}"'
    installed = docker("run", "--rm", "python:3.11-slim", "sh", "-c", script).stdout
    assert installed.strip() == "/usr/local/lib/python3.11/site-packages/click/__init__.py"


def docker_address(name: str) -> str:
    """The container's own address on the default network; the loopback address is trusted, this one is not."""
    return docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", name).stdout.strip()
