"""Addresses that hold on the server and not between its containers: localhost, and published ports."""

from __future__ import annotations

from typing import Any

import pytest

from havre.model.server import BuildFact, FileFacts

SERVERS = """
  db: {image: 'postgres:16', environment: {POSTGRES_PASSWORD: 4f1c9a7be2}}
  cache: {image: 'redis:7'}
  queue: {image: 'rabbitmq:3'}
"""


def compose(environment: str, more: str = "", servers: str = SERVERS) -> str:
    return f"services:\n  web: {{image: 'app:1', environment: {{{environment}}}{more}}}{servers}"


@pytest.mark.parametrize(
    ("setting", "other"),
    [
        ("DATABASE_URL: 'postgresql+asyncpg://a:pw@localhost:5432/a'", "db"),
        ("DATABASE_URL: 'postgres://127.0.0.1/a'", "db"),
        ("SPRING_URL: 'jdbc:postgresql://localhost:5432/a'", "db"),
        ("CACHE: 'redis://:pw@localhost:6379/0'", "cache"),
        ("CACHE: 'rediss://localhost'", "cache"),
        ("CELERY_BROKER: 'amqp://a:pw@[::1]:5672//'", "queue"),
        ("DB_HOST: localhost", "db"),
        ("APP_POSTGRES_HOST: 127.0.0.1", "db"),
        ("PGHOST: localhost", "db"),
        ("REDIS_HOST: localhost", "cache"),
    ],
)
def test_a_server_that_is_another_container_is_named(judge: Any, setting: str, other: str) -> None:
    (found,) = judge.problems("localhost-elsewhere", compose(setting))
    name = setting.partition(":")[0]
    assert found.summary == f"{name} looks for {other} on localhost, which is web itself"
    assert f"write `{other}` where it says localhost" in found.hint
    assert "pw@" not in str(found)


@pytest.mark.parametrize(
    ("setting", "more", "servers"),
    [
        ("DATABASE_URL: 'postgres://db:5432/a'", "", SERVERS),
        ("DATABASE_URL: 'postgres://localhost.example.org/a'", "", SERVERS),
        ("NEXT_PUBLIC_API_URL: 'http://localhost:8000'", "", SERVERS),
        ("ALLOWED_HOST: localhost", "", SERVERS),
        ("DATABASE_URL: 'mysql://localhost/a'", "", SERVERS),
        ("DATABASE_URL: 'postgres://localhost/a'", ", network_mode: host", SERVERS),
        ("REDIS_HOST: localhost", "", SERVERS + "  near: {image: 'proxy:1', network_mode: 'service:web'}\n"),
        ("REDIS_HOST: localhost", "", "\n"),
    ],
)
def test_what_may_well_be_here_or_is_for_browsers_is_left_alone(
    judge: Any, setting: str, more: str, servers: str
) -> None:
    assert judge.problems("localhost-elsewhere", compose(setting, more, servers)) == []


PUBLISHED = """
  db: {image: 'postgres:16', environment: {POSTGRES_PASSWORD: 4f1c9a7be2}, ports: ['5433:5432']}
  api: {image: 'api:1', ports: ['8081:80']}
"""


@pytest.mark.parametrize(
    ("setting", "name", "right"),
    [
        ("DATABASE_URL: 'postgres://a:pw@db:5433/a'", "DATABASE_URL", "db:5432"),
        ("DB_HOST: db, DB_PORT: '5433'", "DB_HOST", "db:5432"),
        ("BACKEND: 'http://api:8081/v1'", "BACKEND", "api:80"),
        ("UPSTREAM: 'api:8081'", "UPSTREAM", "api:80"),
    ],
)
def test_a_published_port_is_no_port_between_services(judge: Any, setting: str, name: str, right: str) -> None:
    (found,) = judge.problems("published-port-inside", compose(setting, servers=PUBLISHED))
    assert found.summary.startswith(f"{name} asks {right.partition(':')[0]} on ")
    assert found.hint == f"write `{right}`"
    assert "pw@" not in str(found)


@pytest.mark.parametrize(
    ("setting", "more"),
    [
        ("DATABASE_URL: 'postgres://db:5432/a'", ""),
        ("DATABASE_URL: 'postgres://db/a'", ""),
        ("DB_HOST: db, DB_PORT: '²'", ""),
        ("DB_HOST: db, DB_PORT: '99999999999'", ""),
        ("BACKEND: 'http://api:9000'", ""),
        ("BACKEND: 'http://api.example.org:8081'", ""),
        ("DATABASE_URL: 'postgres://db:5433/a'", ", network_mode: host"),
    ],
)
def test_ports_that_are_right_or_that_nothing_tells_of_are_left_alone(judge: Any, setting: str, more: str) -> None:
    assert judge.problems("published-port-inside", compose(setting, more, PUBLISHED)) == []


@pytest.mark.parametrize(
    "servers",
    [
        "  api: {image: 'api:1', ports: ['9092:9094'], environment: {LISTENERS: 'IN://:9092,OUT://:9094'}}",
        "  api: {image: 'api:1', ports: ['9092:9094'], command: [serve, --also, ':9092']}",
        "  api: {build: ., ports: ['9092:9094']}",
    ],
)
def test_a_port_that_a_service_is_said_to_open_itself_is_right(judge: Any, servers: str) -> None:
    text = compose("BROKER: 'api:9092'", servers=f"\n{servers}\n")
    fact = BuildFact(service="api", dockerfile="Dockerfile", text="FROM api\nEXPOSE 9092 9094/udp\n")
    assert judge.problems("published-port-inside", text, files=FileFacts(builds=(fact,))) == []


def test_a_name_that_leads_to_the_server_itself_is_reached_on_published_ports(judge: Any) -> None:
    text = compose("BACKEND: 'http://api:8081'", ", extra_hosts: ['api:host-gateway']", PUBLISHED)
    assert judge.problems("published-port-inside", text) == []


def test_a_server_may_look_for_itself_on_localhost(judge: Any) -> None:
    two = "  db: {image: 'postgres:16'}\n  other: {image: 'postgres:16', environment: {PGHOST: localhost}}\n"
    assert judge.problems("localhost-elsewhere", compose("A: b", servers=f"\n{two}")) == []


def test_processes_of_the_server_reach_what_it_publishes(judge: Any) -> None:
    text = compose("DATABASE_URL: 'postgres://localhost:5433/a', OTHER: 'http://api:8081'", servers=PUBLISHED)
    assert judge.problems("localhost-elsewhere", text, on_the_server=True) == []
    assert judge.problems("published-port-inside", text, on_the_server=True) == []
    alone = compose("DATABASE_URL: 'postgres://localhost/a'")
    assert len(judge.problems("localhost-elsewhere", alone, on_the_server=True)) == 1


@pytest.mark.parametrize(
    ("setting", "severity"),
    [
        ("REDIS_HOST: 127.0.0.1", "warning"),
        ("REDIS_URL: 'redis://127.0.0.1:6379'", "error"),
        ("DB_HOST: localhost", "error"),
    ],
)
def test_a_host_that_frameworks_write_whether_it_is_used_or_not_is_only_warned_of(
    judge: Any, setting: str, severity: str
) -> None:
    servers = "\n  cache: {image: 'redis:7'}\n  db: {image: 'postgres:16'}\n"
    (problem,) = judge.problems("localhost-elsewhere", compose(setting, servers=servers))
    assert problem.severity.value == severity
