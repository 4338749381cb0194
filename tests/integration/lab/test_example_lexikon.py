"""The Lexikon example works as its README says, run by hand from its own Compose file."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "lexikon"
ENV = Path(os.environ.get("HAVRE_LAB_DIR", "/var/lib/havre-lab"), "env")
VARIABLE = re.compile(r"\$\$|\$\{(\w+)(?::[-?]([^}]*))?\}")
USER = {"email": "test@example.com", "password": "Test123!", "first_name": "Test", "last_name": "User"}

pytestmark = pytest.mark.docker


def docker(*arguments: str) -> str:
    """What the command printed; a failure shows it."""
    address = dict(line.split("=", 1) for line in ENV.read_text().splitlines()) if ENV.exists() else {}
    done = subprocess.run(
        ["docker", *arguments],
        env=os.environ | address | {"DOCKER_BUILDKIT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"docker {' '.join(arguments[:3])}: {done.stdout}")
    return done.stdout


def resolved(value: Any, variables: dict[str, str]) -> Any:
    """The Compose file's own interpolation, as far as this file uses it."""
    if isinstance(value, dict):
        return {key: resolved(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolved(inner, variables) for inner in value]
    if not isinstance(value, str):
        return value
    return VARIABLE.sub(lambda m: "$" if m[0] == "$$" else variables.get(m[1]) or m[2] or "", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The example's services, run as its Compose file describes them, under names of their own."""

    name: str
    services: dict[str, Any]

    def build(self) -> None:
        for service in ("backend", "frontend"):
            docker("build", "--quiet", "--tag", f"{self.name}-{service}", str(EXAMPLE / service))

    def run(self, service: str, *command: str, options: tuple[str, ...] = ("--detach",)) -> str:
        described = self.services[service]
        image = f"{self.name}-{service}" if "build" in described else described["image"]
        environment = [word for key, value in described["environment"].items() for word in ("--env", f"{key}={value}")]
        return docker("run", *options, "--network", self.name, *environment, image, *command)

    def start(self, service: str) -> None:
        name = ("--detach", "--name", self.container(service), "--network-alias", service)
        port = {"backend": ("--publish", "127.0.0.1::8000"), "frontend": ("--publish", "127.0.0.1::3000")}
        limit = ("--memory", self.services[service]["mem_limit"])
        self.run(service, *self.services[service].get("command", ()), options=(*name, *limit, *port.get(service, ())))
        self.await_health(service)

    def await_health(self, service: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not self.is_healthy(service):
            assert time.monotonic() < deadline, docker("logs", self.container(service))
            time.sleep(0.2)

    def is_healthy(self, service: str) -> bool:
        kind, *test = self.services[service]["healthcheck"]["test"]
        command = ["sh", "-c", *test] if kind == "CMD-SHELL" else test
        try:
            docker("exec", self.container(service), *command)
        except RuntimeError:
            return False
        return True

    def container(self, service: str) -> str:
        return f"{self.name}-{service}-1"

    def remove(self) -> None:
        for service in self.services:
            docker("rm", "--force", "--volumes", self.container(service))
        docker("network", "rm", self.name)
        docker("image", "rm", f"{self.name}-backend", f"{self.name}-frontend")

    def ask(self, service: str, path: str, *, method: str = "GET", body: Any = None) -> tuple[int, str]:
        port = int(docker("port", self.container(service)).split()[-1].rsplit(":", 1)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            headers = {"content-type": "application/json", "x-request-id": "from-the-test"}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        return json.loads(self.ask("backend", path)[1])


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    password = secrets.token_hex(16)
    variables = {name: secrets.token_hex(16) for name in ("REDIS_PASSWORD", "JWT_SECRET", "API_KEY_SECRET")}
    variables |= {"POSTGRES_PASSWORD": password, "UVICORN_WORKERS": "2", "APP_VERSION": "7.7.7"}
    variables["DATABASE_URL"] = f"postgresql://lexikon:{password}@postgres:5432/lexikon"
    compose = yaml.safe_load((EXAMPLE / "docker-compose.prod.yml").read_text())
    lexikon = Stack(name=f"lexikon-test-{secrets.token_hex(4)}", services=resolved(compose["services"], variables))
    docker("network", "create", lexikon.name)
    try:
        lexikon.build()
        lexikon.start("postgres")
        lexikon.start("redis")
        lexikon.run("backend", "alembic", "upgrade", "head", options=("--rm",))
        lexikon.start("backend")
        lexikon.start("frontend")
        yield lexikon
    finally:
        lexikon.remove()


def test_health_answers_for_the_database_and_redis(stack: Stack) -> None:
    assert stack.json("/health") == {"status": "healthy", "database": "ok", "redis": "ok", "version": "7.7.7"}


def test_registering_stores_the_user_with_a_hashed_password(stack: Stack) -> None:
    status, text = stack.ask("backend", "/api/auth/register", method="POST", body=USER)
    assert status == 201
    assert json.loads(text)["email"] == USER["email"]
    query = "SELECT password_hash FROM users WHERE email = 'test@example.com'"
    stored = docker("exec", stack.container("postgres"), "psql", "-U", "lexikon", "-Atc", query)
    assert re.fullmatch(r"scrypt\$[0-9a-f]{32}\$[0-9a-f]{128}", stored.strip())


def test_an_address_registers_once_and_an_incomplete_form_never(stack: Stack) -> None:
    again = USER | {"email": "Twice@example.com"}
    statuses = [stack.ask("backend", "/api/auth/register", method="POST", body=again)[0] for _ in range(2)]
    assert statuses == [201, 409]
    assert stack.ask("backend", "/api/auth/register", method="POST", body={})[0] == 422


def test_the_password_opens_a_session_and_a_wrong_one_does_not(stack: Stack) -> None:
    sailor = USER | {"email": "sailor@example.com"}
    stack.ask("backend", "/api/auth/register", method="POST", body=sailor)
    assert stack.ask("backend", "/api/auth/login", method="POST", body=sailor)[0] == 200
    assert stack.ask("backend", "/api/auth/login", method="POST", body=sailor | {"password": "guess"})[0] == 401


def test_the_second_question_for_a_word_is_answered_from_the_cache_and_counted(stack: Stack) -> None:
    before = stack.json("/metrics")
    for _ in range(2):
        assert stack.json("/api/words/anchor")["meaning"].startswith("What holds a ship")
    time.sleep(0.5)  # each worker hands its counts over five times a second
    after = stack.json("/metrics")
    assert set(after) == {"requests", "cache", "database"}
    assert after["cache"]["hits"] == before["cache"]["hits"] + 1
    assert after["cache"]["misses"] == before["cache"]["misses"] + 1
    assert after["requests"]["total"] >= before["requests"]["total"] + 2
    assert after["database"]["queries"] > before["database"]["queries"]


def test_each_page_asks_the_backend_by_its_service_name(stack: Stack) -> None:
    status, page = stack.ask("frontend", "/")
    assert (status, "Backend 7.7.7" in page) == (200, True)
    assert "A place where ships are safe." in stack.ask("frontend", "/words/haven")[1]


def test_one_request_id_leads_through_the_logs_of_both_services(stack: Stack) -> None:
    stack.ask("frontend", "/words")
    for service in ("frontend", "backend"):
        entries = [json.loads(line) for line in docker("logs", stack.container(service)).splitlines()]
        assert all({"timestamp", "level", "message"} <= set(entry) for entry in entries)
        assert any(entry.get("request_id") == "from-the-test" for entry in entries)


def test_the_last_migration_can_be_undone_and_done_again(stack: Stack) -> None:
    assert stack.ask("backend", "/api/words")[0] == 200
    stack.run("backend", "alembic", "downgrade", "-1", options=("--rm",))
    assert stack.ask("backend", "/api/words")[0] == 503
    stack.run("backend", "alembic", "upgrade", "head", options=("--rm",))
    assert stack.ask("backend", "/api/words")[0] == 200


@pytest.mark.parametrize(("service", "named"), [("redis", "redis: "), ("postgres", "database: ")])
def test_health_fails_with_503_and_says_which_server_is_gone(stack: Stack, service: str, named: str) -> None:
    docker("stop", stack.container(service))
    status, text = stack.ask("backend", "/health")
    assert (status, json.loads(text)["status"]) == (503, "unhealthy")
    assert json.loads(text)["error"].startswith(named)
    assert not stack.is_healthy("backend")
    docker("start", stack.container(service))
    stack.await_health("backend")


def test_sigterm_ends_both_services_at_once_and_in_order(stack: Stack) -> None:
    for service in ("frontend", "backend"):
        started = time.monotonic()
        docker("stop", "--time", "20", stack.container(service))
        assert time.monotonic() - started < 10
        assert docker("inspect", "--format", "{{.State.ExitCode}}", stack.container(service)).strip() == "0"
        docker("start", stack.container(service))
        stack.await_health(service)


def test_the_example_environment_names_every_variable_and_holds_no_secret() -> None:
    compose = (EXAMPLE / "docker-compose.prod.yml").read_text()
    example = dict(re.findall(r"^(\w+)=(.*)$", (EXAMPLE / ".env.prod.example").read_text(), re.MULTILINE))
    assert {match[1] for match in VARIABLE.finditer(compose) if match[1]} <= set(example)
    assert {name for name in example if re.search("PASSWORD|SECRET", name) and example[name]} == set()
