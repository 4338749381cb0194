"""A database that is looked for on localhost, which inside a container is the container itself."""

from __future__ import annotations

from typing import Any

import pytest

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
