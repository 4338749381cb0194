"""What is a secret, and that none is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.model.secrets_mask import (
    MASK,
    is_secret_name,
    looks_secret,
    mask,
    mask_setting,
    mask_text,
    mask_url,
    mask_words,
)


@pytest.mark.parametrize(
    "name",
    [
        "POSTGRES_PASSWORD", "password", "dbPassword", "DB_PASS", "PGPASSWORD", "MYSQL_PWD", "JWT_SECRET", "SECRET_KEY",
        "API_KEY", "apiKey", "api-key", "STRIPE_KEY", "ACCESS_TOKEN", "SENTRY_DSN", "AWS_SECRET_ACCESS_KEY",
        "PASSWORD_SALT", "REDISCLI_AUTH", "smtp.credentials", "GPG_PASSPHRASE", "NEXTAUTH_SECRET",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "POSTGRES_USER", "PATH", "HOST", "KEYBOARD", "MONKEY", "PASSENGER_COUNT", "POSTGRES_PASSWORD_FILE", "TOKEN_TTL",
        "ACCESS_TOKEN_EXPIRE_MINUTES", "AUTHOR", "COMPASS", "JWT_ALGORITHM", "DATABASE_URL", "", "_", "image",
    ],
)  # fmt: skip
def test_names_of_other_things(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "value",
    [
        "ghp_abcdefghijklmnop1234",
        "sk_live_abcdefghijklmnop",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
        "$2b$12$FGHsQAGm9N9sxJ54RiWiMu",
        "0123456789abcdef0123456789abcdef",
        "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA==",
    ],
)
def test_values_that_give_themselves_away(value: str) -> None:
    assert looks_secret(value)
    assert mask_setting("ANYTHING", value) == MASK


@pytest.mark.parametrize("value", ["", "production", "redis:7-alpine", "http://backend:8000/health", "512m", "z" * 40])
def test_values_that_are_ordinary(value: str) -> None:
    assert mask_setting("ANYTHING", value) == value


def test_an_image_digest_is_no_secret() -> None:
    image = "app@sha256:9c144ceb22920c60dc659c8635f48a92be4bffdb7dc768aba0d26a9a42c3005d"
    assert mask_setting("image", image) == image


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://app:hunter2@db:5432/app", f"postgres://app:{MASK}@db:5432/app"),
        ("redis://:hunter2@cache:6379/0", f"redis://:{MASK}@cache:6379/0"),
        ("postgres://app:p/ss@w:rd@db/app", f"postgres://app:{MASK}@db/app"),
        ("https://0123456789abcdef0123@sentry.example.org/1", f"https://{MASK}@sentry.example.org/1"),
        ("ssh://git@example.org/repo.git", "ssh://git@example.org/repo.git"),
        ("http://web:8080/users/me@example.org", "http://web:8080/users/me@example.org"),
        ("https://x.org/?q=1&api_key=abc&page=2", f"https://x.org/?q=1&api_key={MASK}&page=2"),
        ("redis-server --requirepass hunter2 --port 6379", f"redis-server --requirepass {MASK} --port 6379"),
        ("redis-cli -h db -a hunter2 ping", f"redis-cli -h db -a {MASK} ping"),
        ("redis-cli -a $REDIS_PASSWORD ping", "redis-cli -a $REDIS_PASSWORD ping"),
        ("mysqladmin ping -u root -phunter2", f"mysqladmin ping -u root -p{MASK}"),
        ("serve --token-file /run/token --port 80", "serve --token-file /run/token --port 80"),
        ("host=db password=hunter2 user=app", f"host=db password={MASK} user=app"),
    ],
)
def test_credentials_in_urls(url: str, shown: str) -> None:
    assert mask_url(url) == shown


def test_words_of_a_command() -> None:
    words = ["redis-server", "--requirepass", "hunter2", "--port", "6379", "--password", "--token", "$TOKEN"]
    assert mask_words(words) == [
        "redis-server",
        "--requirepass",
        MASK,
        "--port",
        "6379",
        "--password",
        "--token",
        "$TOKEN",
    ]
    assert mask_words([]) == []


def test_an_empty_secret_stays_empty_because_that_is_worth_knowing() -> None:
    assert mask("") == ""
    assert mask_setting("API_KEY", "") == ""


def test_known_values_are_hidden_in_any_text_also_as_urls_write_them() -> None:
    text = "login with p@ss w0rd failed: postgres://app/p%40ss%20w0rd, pin 42 of 4242"
    shown = mask_text(text, ["p@ss w0rd", "42", ""])
    assert shown == f"login with {MASK} failed: postgres://app/{MASK}, pin {MASK} of 4242"


def test_a_secret_that_contains_another_is_hidden_whole() -> None:
    assert mask_text("it is hunter2000", ["hunter2", "hunter2000"]) == f"it is {MASK}"


@given(st.text(min_size=4), st.text(), st.text())
def test_no_known_value_survives(secret: str, before: str, after: str) -> None:
    assert secret in MASK or secret not in mask_text(f"{before}{secret}{after}", [secret]).replace(MASK, "")


@given(st.text())
def test_masking_never_crashes_and_settles(text: str) -> None:
    once = mask_text(text)
    assert mask_text(once) == once
