"""Which services a service calls: the addresses in its environment, however they are written."""

from __future__ import annotations

import pytest

from havre.model.calls import Target, targets
from havre.model.project import Attachment, Project, Service

POSTGRES = Service(name="db", image="postgres:16", networks=(Attachment(network="default", aliases=("main",)),))
OTHER = Service(name="search", image="our/search:1")


def called(*environment: tuple[str, str | None]) -> tuple[Target, ...]:
    web = Service(name="web", image="web:1", environment=environment)
    return targets(Project(name="shop", services=(web, POSTGRES, OTHER)), web)


@pytest.mark.parametrize(
    ("name", "value", "service", "port"),
    [
        ("DATABASE_URL", "postgresql://u:p@db:5433/x", "db", 5433),
        ("DATABASE_URL", "postgresql://u@db/x", "db", 5432),
        ("ANY", "http://search", "search", 80),
        ("ANY", "grpc://search", "search", 0),
        ("ANY", "https://main/x", "db", 443),
        ("ANY", "search:9200", "search", 9200),
        ("DB_HOST", "db", "db", 5432),
        ("SEARCH_SERVER", "search", "search", 0),
    ],
)
def test_an_address_in_the_environment_is_a_call(name: str, value: str, service: str, port: int) -> None:
    assert called((name, value)) == (Target(service, port, name),)


def test_a_host_takes_the_port_that_stands_beside_it() -> None:
    assert called(("DB_HOST", "db"), ("DB_PORT", "6000")) == (Target("db", 6000, "DB_HOST"),)


def test_a_name_that_is_no_address_is_no_call() -> None:
    assert called(("NOTE", "db"), ("URL", "http://example.org:80"), ("PAIR", "there:80"), ("EMPTY", None)) == ()
