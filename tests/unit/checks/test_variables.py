"""Variables: what an image needs, what somebody forgot to replace, what nothing executes, and passwords that differ."""

from __future__ import annotations

from typing import Any

import pytest

from havre.checks.placeholders import placeholder
from havre.errors import Severity
from havre.model.server import VariableFact

DB = """\
services:
  db:
    image: postgres:16
    environment:
      POSTGRES_USER: app
      POSTGRES_PASSWORD: ${DB_PASSWORD:-}
"""


def with_client(settings: str, db: str = "POSTGRES_PASSWORD: 8fk2Lq91") -> str:
    return f"""\
services:
  db:
    image: postgres:16
    environment: {{{db}}}
  web:
    image: shop:1
    environment: {{{settings}}}
"""


@pytest.mark.parametrize(
    "value",
    [
        "changeme", "CHANGE_ME_PLEASE", "change-me", "Change this", "your-secret-key", "YOUR_API_KEY_HERE",
        "admin123", "password", "postgres", "<secret>", "[password]", "{{ secret }}", "xxx", "****", "...",
        "replace-me", "secret-here",
        "insert_your_key", "put-secret-here", "my-secret-change-in-production", "dev-only-key", "123456",
        "postgres://app:changeme@db/x", "redis://:password@redis:6379/0", "%SECRET%", "to-be-replaced", "password here",
        "enter_password",
        "changeme123", "yourpassword", "YourSecretKey", "my-super-secret-key", "secret123", "Admin@123", "P@ssw0rd",
        "postgres123", "minio123", "minioadmin123", "guest", "toor", "qwerty123", "1234567890", "abc123", "testing123",
        "devpassword", "insecure-secret-key", "dummy-token", "setme", "generate-a-secure-random-string", "keyboard cat",
        "django-insecure-8f2k!x", "this-is-a-secret", "0000000000", "aaaaaaaa", "deadbeef", "N/A", "unset", "grafana",
        "sk-xxxxxxxxxxxxxxxx", "xxxx-xxxx", "TODO: set this", "example-secret", "${SECRET}", "openssl rand -hex 32",
        "keycloak", "rabbitmq", "your.api.key", "SUPER_SECRET_KEY_2024",
    ],
)  # fmt: skip
def test_what_somebody_should_have_replaced_is_recognised(value: str) -> None:
    assert placeholder(value)


@pytest.mark.parametrize(
    "value",
    [
        "0f9c2b7d", "hunter2xyz", "correct horse battery", "yourself-8812", "exchange-melody-77", "Tr0ub4dor&3",
        "postgres://app:8fk2Lq91@db/x", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "changemaker-xk12",
        "a-passwordless-77-login", "kx8812-a", "hT6$kLp0qZ", "postgres-9f2kd8sl2", "testarossa-77-vroom", "4821",
        "secretariat-1973-belmont", "whsec_abcdef1234567890abcdef", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "MyDogAte7",
    ],
)  # fmt: skip
def test_what_somebody_chose_is_left_alone(value: str) -> None:
    assert placeholder(value) is None


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ('""', "two quote characters"),
        ("$(openssl rand -hex 32)", "a command that nothing runs"),
        ("`openssl rand -hex 32`", "a command that nothing runs"),
        ("postgres://app:@db/x", "an empty password in the URL"),
        ("changeme", "a placeholder"),
        ("admin123", "a well-known default"),
    ],
)
def test_the_reason_is_said_without_the_value(value: str, why: str) -> None:
    assert placeholder(value) == why


def test_an_image_without_its_required_password_is_refused(judge: Any) -> None:
    (problem,) = judge.problems("variable-required", DB)
    assert str(problem) == (
        "compose.yaml:6:7: db: POSTGRES_PASSWORD is required by postgres:16 and has no value\n"
        "    one of POSTGRES_PASSWORD, POSTGRES_PASSWORD_FILE must be set\n"
        "  effect: the container would exit at its first start, again and again\n"
        "  hint: give it a value: `havre secrets generate POSTGRES_PASSWORD`, and pass it to db"
    )


@pytest.mark.parametrize(
    "environment",
    ["POSTGRES_PASSWORD: x", "POSTGRES_PASSWORD_FILE: /run/secrets/p", "POSTGRES_HOST_AUTH_METHOD: trust"],
)
def test_any_of_the_ways_to_give_a_password_will_do(judge: Any, environment: str) -> None:
    compose = f"services: {{db: {{image: 'postgres:16', environment: {{{environment}}}}}}}"
    assert judge.lines("variable-required", compose) == []


def test_a_required_variable_nobody_mentions_is_named(judge: Any) -> None:
    assert judge.lines("variable-required", "services: {db: {image: 'mysql:8'}}") == [
        "compose.yaml:1:12: db: MYSQL_ROOT_PASSWORD is required by mysql:8 and has no value"
    ]


def test_a_built_image_is_not_taken_for_a_well_known_one(judge: Any) -> None:
    assert judge.lines("variable-required", "services: {db: {image: postgres, build: .}}") == []


def test_placeholders_are_all_listed_at_the_line_of_their_file(judge: Any) -> None:
    compose = """\
services:
  web:
    image: shop:1
    environment:
      JWT_SECRET: ${JWT_SECRET}
      DATABASE_URL: postgres://app:${DB_PASSWORD}@elsewhere/x
      LITERAL_TOKEN: your-token
      LOG_LEVEL: changeme
  job:
    image: shop:1
    environment:
      JWT: ${JWT_SECRET}
      SIGNING_KEY: ${JWT_SECRET}
"""
    env = "JWT_SECRET=changeme\nDB_PASSWORD=admin123\n"
    assert judge.lines("variable-placeholder", compose, env=env) == [
        ".env:1: JWT_SECRET: the value of JWT_SECRET is a placeholder",
        ".env:2: DB_PASSWORD: the password in DB_PASSWORD is a well-known default",
        "compose.yaml:7:7: LITERAL_TOKEN: the value of LITERAL_TOKEN is a placeholder",
    ]
    first = judge.problems("variable-placeholder", compose, env=env)[0]
    assert first.evidence == ("used by web, job",)
    assert "changeme" not in str(judge(compose, env=env)).replace("LOG_LEVEL: changeme", "")


def test_a_placeholder_stops_production_only(judge: Any) -> None:
    manifest = "app: shop\nenvironments: {staging: }"
    compose = "services: {web: {image: 'a:1', environment: {API_SECRET: changeme}}}"
    assert judge.problems("variable-placeholder", compose)[0].severity is Severity.ERROR
    staging = judge.problems("variable-placeholder", compose, manifest, environment="staging")
    assert staging[0].severity is Severity.WARNING


def test_optional_secrets_may_be_empty(judge: Any) -> None:
    compose = "services: {web: {image: 'a:1', environment: {GOOGLE_CLIENT_SECRET: '', X_TOKEN: }}}"
    assert judge.lines("variable-placeholder", compose) == []


def test_a_command_in_an_env_file_is_refused_where_it_stands(judge: Any) -> None:
    compose = "services: {web: {image: 'a:1', environment: {JWT_SECRET: '${JWT_SECRET}'}}}"
    env = "A=1\nJWT_SECRET=$(openssl rand -hex 32)\n"
    assert judge.lines("variable-command", compose, env=env) == [
        ".env:2: JWT_SECRET: the value of JWT_SECRET is a command in `$(…)`, which env files never run"
    ]
    assert judge.lines("variable-placeholder", compose, env=env) == []


def test_a_command_nobody_uses_yet_is_told_once_with_those_that_are_used(judge: Any) -> None:
    compose = "services: {web: {image: 'a:1', environment: {JWT_SECRET: '${JWT_SECRET}'}}}"
    value = "$(openssl rand -hex 32)"
    facts = tuple(
        VariableFact(name=name, value=value, file=".env", line=line) for name, line in (("JWT_SECRET", 1), ("IDLE", 2))
    )
    env = f"JWT_SECRET={value}\nIDLE={value}\n"
    found = judge.problems("variable-command", compose, env=env, variables=facts)
    assert [(one.subject, str(one.at)) for one in found] == [("JWT_SECRET", ".env:1"), ("IDLE", ".env:2")]


def test_a_dollar_in_a_value_is_no_command(judge: Any) -> None:
    compose = "services: {web: {image: 'a:1', environment: {PRICE_SECRET: 'a$$(1)b', REGEX: '^(a|b)$$'}}}"
    assert judge.lines("variable-command", compose) == []


def test_a_default_of_two_quotes_is_refused(judge: Any) -> None:
    compose = """\
services:
  redis:
    image: redis:7
    command: ["redis-server", "--requirepass", '${REDIS_PASSWORD:-""}']
    environment:
      REDIS_PASSWORD: ${REDIS_PASSWORD:-""}
      URL: redis://:${REDIS_PASSWORD:-""}@redis
"""
    assert judge.lines("variable-quotes", compose) == [
        "compose.yaml:4:5: redis: the value of an argument is two quote characters, not empty",
        "compose.yaml:6:7: redis: the value of REDIS_PASSWORD is two quote characters, not empty",
        "compose.yaml:7:7: redis: the value of REDIS_PASSWORD is two quote characters, not empty",
    ]


@pytest.mark.parametrize(
    "settings",
    [
        "DATABASE_URL: 'postgres://postgres:wrong@db:5432/x'",
        "DATABASE_URL: 'postgresql+asyncpg://postgres:wrong@db/x'",
        "DB_HOST: db, DB_USER: postgres, DB_PASSWORD: wrong",
        "KC_DB_URL: 'jdbc:postgresql://db:5432/keycloak', KC_DB_USERNAME: postgres, KC_DB_PASSWORD: wrong",
        "PGHOST: db, PGPASSWORD: wrong",
        "POSTGRES_SERVER: db, POSTGRES_PASSWORD: ''",
    ],
)
def test_a_client_with_another_password_is_found(judge: Any, settings: str) -> None:
    (problem,) = judge.problems("password-disagrees", with_client(settings))
    assert "web" in problem.summary
    assert "wrong" not in str(problem)
    assert "8fk2Lq91" not in str(problem)


@pytest.mark.parametrize(
    "settings",
    [
        "DATABASE_URL: 'postgres://postgres:8fk2Lq91@db:5432/x'",
        "DATABASE_URL: 'postgres://readonly:wrong@db:5432/x'",
        "DATABASE_URL: 'postgres://postgres:wrong@elsewhere:5432/x'",
        "DATABASE_URL: 'postgres://db:5432/x'",
        "DB_HOST: db, DB_PASSWORD: 8fk2Lq91",
        "DB_HOST: elsewhere, DB_PASSWORD: wrong",
        "NOTE: db, UNRELATED_PASSWORD: wrong",
        "DB_HOST: db, OTHER_PASSWORD: wrong",
    ],
)
def test_a_client_that_agrees_or_cannot_be_judged_is_left_alone(judge: Any, settings: str) -> None:
    assert judge.lines("password-disagrees", with_client(settings)) == []


def test_both_sides_of_a_disagreement_are_named_with_their_lines(judge: Any) -> None:
    compose = """\
services:
  db:
    image: postgres:16
    environment:
      POSTGRES_USER: app
      POSTGRES_PASSWORD: one-9182
  web:
    image: shop:1
    environment:
      DATABASE_URL: postgres://app:two%2B77@db/x
"""
    (problem,) = judge.problems("password-disagrees", compose)
    assert str(problem) == (
        "compose.yaml:10:7: web: web and db disagree about the password\n"
        "    web: DATABASE_URL (user app)\n"
        "    db: POSTGRES_PASSWORD at compose.yaml:6:7; the two values differ (they are not shown)\n"
        "  effect: every connection from web to db would be refused\n"
        "  hint: let both use one variable, as in `${POSTGRES_PASSWORD}`"
    )


def test_a_server_without_a_known_password_is_not_judged(judge: Any) -> None:
    settings = "DATABASE_URL: 'postgres://postgres:wrong@db:5432/x'"
    assert judge.lines("password-disagrees", with_client(settings, db="POSTGRES_PASSWORD_FILE: /run/secrets/p")) == []


def redis(command: str, url: str, extra: str = "") -> str:
    return f"""\
services:
  cache:
    image: redis:7
    command: {command}
    environment: {{REDIS_PASSWORD: s3cr-77}}
    networks: {{default: {{aliases: [kv]}}}}
    {extra}
  web:
    image: shop:1
    environment: {{REDIS_URL: '{url}'}}
"""


@pytest.mark.parametrize(
    ("command", "url", "summary"),
    [
        ("redis-server --requirepass s3cr-77", "redis://:s3cr-77@cache:6379/0", None),
        ("redis-server --requirepass s3cr-77", "redis://:other@kv:6379/0", "web and cache disagree about the password"),
        (
            "redis-server --requirepass s3cr-77",
            "redis://cache:6379/0",
            "web calls cache without the password that cache asks for",
        ),
        ("redis-server", "redis://:s3cr-77@cache:6379/0", "web logs in to cache with a password, and cache has none"),
        ("redis-server", "redis://cache:6379/0", None),
        ("redis-server", "http://cache:80", None),
        ("""[sh, -c, 'exec redis-server --requirepass "$$REDIS_PASSWORD"']""", "redis://:s3cr-77@cache/0", None),
        ("""[sh, -c, 'exec redis-server --requirepass "$$OTHER"']""", "redis://cache/0", None),
    ],
)
def test_redis_and_its_clients_are_compared(judge: Any, command: str, url: str, summary: str | None) -> None:
    found = [problem.summary for problem in judge.problems("password-disagrees", redis(command, url))]
    assert found == ([summary] if summary else [])


def test_a_redis_with_a_configuration_file_is_not_judged(judge: Any) -> None:
    extra = "volumes: ['./redis.conf:/etc/redis.conf:ro']"
    assert judge.lines("password-disagrees", redis("redis-server /etc/redis.conf", "redis://:x@cache/0", extra)) == []


@pytest.mark.parametrize(
    ("command", "is_server"),
    [
        ("[]", True),
        ("['-c', 'max_connections=50']", True),
        ("postgres -c max_connections=50", True),
        ("[sh, -c, 'exec docker-entrypoint.sh postgres']", True),
        ("psql -h elsewhere -c 'select 1'", False),
        ("[sh, -c, 'while sleep 60; do pg_dump x; done']", False),
    ],
)
def test_a_client_that_borrows_a_servers_image_is_not_taken_for_it(judge: Any, command: str, is_server: bool) -> None:
    compose = f"services: {{job: {{image: 'postgres:16', command: {command}}}}}"
    assert len(judge.lines("variable-required", compose)) == int(is_server)


@pytest.mark.parametrize(
    "value",
    ["https://your-domain.com", "yourdomain.org", "<region>", "[BUCKET NAME]", "CHANGE_ME", "admin@your-company.io"],
)
def test_an_address_left_as_in_the_template_is_told(judge: Any, value: str) -> None:
    compose = "services:\n  web:\n    image: shop:1\n    environment:\n      SITE: ${SITE:-}\n"
    assert judge.lines("variable-unfinished", compose, env=f"SITE={value}\n") == [
        ".env:1: SITE: the value of SITE is what its template said"
    ]


@pytest.mark.parametrize(
    "value", ["https://shop.example.org", "your", "yourself", "exchange-melody", "[]", "a<b>c", "todo"]
)
def test_an_address_of_ones_own_is_left_alone(judge: Any, value: str) -> None:
    compose = "services:\n  web:\n    image: shop:1\n    environment:\n      SITE: ${SITE:-}\n"
    assert judge.lines("variable-unfinished", compose, env=f"SITE={value}\n") == []
