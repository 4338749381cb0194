"""References taken apart, and credentials found where `docker login` left them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from havre.engines.docker.pulls import Credentials, registry_of, split_reference

HUB = "https://index.docker.io/v1/"


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("redis", ("redis", "latest")),
        ("redis:7", ("redis", "7")),
        ("localhost:5000/a/b", ("localhost:5000/a/b", "latest")),
        ("localhost:5000/a/b:2", ("localhost:5000/a/b", "2")),
        ("redis@sha256:abc", ("redis", "sha256:abc")),
    ],
)
def test_a_reference_without_a_tag_means_latest_and_never_all(reference: str, expected: tuple[str, str]) -> None:
    assert split_reference(reference) == expected


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("redis", HUB),
        ("bitnami/redis:7", HUB),
        ("docker.io/library/redis", HUB),
        ("ghcr.io/a/b:1", "ghcr.io"),
        ("localhost/a", "localhost"),
        ("registry:5000/a", "registry:5000"),
    ],
)
def test_the_registry_of_a_reference(reference: str, registry: str) -> None:
    assert registry_of(reference) == registry


def credentials(directory: Path, config: dict[str, Any]) -> Credentials:
    (directory / "config.json").write_bytes(msgspec.json.encode(config))
    return Credentials(directory)


def decoded(headers: dict[str, str]) -> Any:
    (value,) = headers.values()
    return msgspec.json.decode(base64.urlsafe_b64decode(value))


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def test_a_password_may_contain_a_colon(tmp_path: Path) -> None:
    found = credentials(tmp_path, {"auths": {"ghcr.io": auth("bob:a:b")}}).for_pull("ghcr.io/a/b")

    assert list(found) == ["X-Registry-Auth"]
    assert decoded(found) == {"username": "bob", "password": "a:b", "serveraddress": "ghcr.io"}


@pytest.mark.parametrize("key", ["r.example", "https://r.example"])
def test_a_registry_is_found_with_and_without_its_scheme(tmp_path: Path, key: str) -> None:
    assert credentials(tmp_path, {"auths": {key: auth("a:b")}}).for_pull("r.example/x")


def test_an_identity_token_is_used(tmp_path: Path) -> None:
    found = credentials(tmp_path, {"auths": {HUB: {"identitytoken": "t"}}}).for_pull("redis")

    assert decoded(found) == {"identitytoken": "t", "serveraddress": HUB}


def test_credentials_of_another_registry_are_not_sent(tmp_path: Path) -> None:
    assert credentials(tmp_path, {"auths": {"ghcr.io": auth("a:b")}}).for_pull("redis") == {}


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{broken", b'{"auths":null}'])
def test_without_a_login_there_are_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)

    assert Credentials(tmp_path).for_pull("redis") == {}
    assert Credentials(tmp_path).for_build() == {}


def test_a_build_gets_all_credentials(tmp_path: Path) -> None:
    found = credentials(tmp_path, {"auths": {"ghcr.io": auth("a:b"), HUB: auth("c:d"), "none": {}}}).for_build()

    assert sorted(decoded(found)) == ["ghcr.io", HUB]


def test_a_credential_helper_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-vault"
    helper.write_text('#!/bin/sh\n[ "$(cat)" = ghcr.io ] && echo \'{"Username":"bob","Secret":"s"}\' || exit 1\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    found = credentials(tmp_path, {"credsStore": "vault"})

    assert decoded(found.for_pull("ghcr.io/a/b")) == {"username": "bob", "password": "s", "serveraddress": "ghcr.io"}
    assert found.for_pull("quay.io/a/b") == {}


def test_a_helper_that_is_not_installed_gives_none(tmp_path: Path) -> None:
    assert credentials(tmp_path, {"credHelpers": {"ghcr.io": "nobody-has-this"}}).for_pull("ghcr.io/a") == {}
