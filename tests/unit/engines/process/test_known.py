"""Which images are known, and which version of a server stands in for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from havre.engines.process import servers
from havre.engines.process.known import (
    POSTGRES,
    REDIS,
    Server,
    family_of,
    known_images,
    split_reference,
    wanted_major,
)


@pytest.mark.parametrize(
    ("reference", "family", "major"),
    [
        ("postgres:15-alpine", "postgres", "15"),
        ("docker.io/library/postgres:16.2", "postgres", "16"),
        ("postgres", "postgres", None),
        ("redis:7-alpine@sha256:abc", "redis", "7"),
        ("valkey/valkey:8", "redis", "8"),
        ("registry.example.org:5000/postgres:15", None, "15"),
        ("nginx:1.25", None, "1"),
    ],
)
def test_known_by_repository_and_tag(reference: str, family: str | None, major: str | None) -> None:
    found = family_of(reference)
    assert (found.name if found else None, wanted_major(reference)) == (family, major)


def test_a_registry_port_is_no_tag() -> None:
    assert split_reference("registry:5000/team/app") == ("registry:5000/team/app", "")


def test_the_known_ones_are_listed() -> None:
    assert known_images().startswith("`postgres` (PostgreSQL), `redis`")


def test_the_wheels_are_pinned_by_hash() -> None:
    for family in (POSTGRES, REDIS):
        assert f"=={family.wheel.version} --hash=sha256:" in family.wheel.requirement


def _server(major: str) -> Server:
    return Server(family="postgres", major=major, programs=f"/usr/lib/postgresql/{major}/bin", origin="the system")


def _chosen(monkeypatch: pytest.MonkeyPatch, reference: str, *majors: str) -> tuple[str, list[str]]:
    told: list[str] = []
    wheel = Server(family="postgres", major="18", programs="/wheel", origin="wheel")
    monkeypatch.setattr(servers, "installed_servers", lambda _: iter([_server(major) for major in majors]))
    monkeypatch.setattr(servers, "fetch_wheel", lambda *_: wheel)
    return servers.choose_server(POSTGRES, reference, Path("/cache"), told.append).major, told


def test_the_exact_version_of_the_system_is_best(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _chosen(monkeypatch, "postgres:15", "17", "15") == ("15", [])


def test_another_version_of_the_system_stands_in_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    major, told = _chosen(monkeypatch, "postgres:14", "17", "15")
    assert (major, told) == ("17", ["postgres:14: version 17 from the system stands in for 14"])


def test_the_wheel_is_taken_where_it_is_exact_or_nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _chosen(monkeypatch, "postgres:18", "15") == ("18", [])
    assert _chosen(
        monkeypatch,
        "postgres",
    ) == ("18", [])
    assert _chosen(monkeypatch, "postgres:15") == ("18", ["postgres:15: version 18 from wheel stands in for 15"])
