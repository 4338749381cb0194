"""What is known of well-known images, whatever registry and tag they come by."""

from __future__ import annotations

from dataclasses import replace

import pytest

from havre.model.health import HealthCheck
from havre.model.images import health_pages, image_name, image_tag, known, listening_ports
from havre.model.project import Build, Port, Service

WEB = Service(name="web", image="shop/web:1")


@pytest.mark.parametrize(
    ("reference", "name", "tag"),
    [
        ("postgres", "postgres", None),
        ("docker.io/library/Postgres:16-alpine", "postgres", "16-alpine"),
        ("registry:5000/team/redis", "redis", None),
        ("registry:5000/team/redis:7@sha256:ab", "redis", "sha256:ab"),
        ("redis@sha256:ab", "redis", "sha256:ab"),
    ],
)
def test_names_and_tags_of_references(reference: str, name: str, tag: str | None) -> None:
    assert (image_name(reference), image_tag(reference)[1]) == (name, tag)


def test_nothing_is_known_of_what_is_built_or_unheard_of() -> None:
    postgres = replace(WEB, image="postgis/postgis:16")
    facts = known(postgres)
    assert facts is not None
    assert facts.kind == "postgres"
    assert known(replace(postgres, build=Build(context="."))) is None
    assert known(WEB) is None


def test_an_image_that_is_made_to_run_something_else_is_not_what_its_name_says() -> None:
    postgres = replace(WEB, image="postgres:16")
    assert known(replace(postgres, command=("postgres", "-c", "fsync=off"))) is not None
    assert known(replace(postgres, command=("-c", "fsync=off"))) is not None
    assert known(replace(postgres, command=("sleep", "9"))) is None


@pytest.mark.parametrize(
    ("service", "ports"),
    [
        (WEB, set()),
        (replace(WEB, image="redis:7"), {6379}),
        (replace(WEB, ports=(Port(target=80), Port(target=53, protocol="udp"))), {80}),
        (replace(WEB, expose=("3000", "4000/tcp", "5000/udp")), {3000, 4000}),
        (replace(WEB, environment=(("PORT", "8080"), ("OTHER_PORT", "1"))), {8080}),
        (replace(WEB, environment=(("PORT", None),)), set()),
        (replace(WEB, environment=(("PORT", "eighty"),)), set()),
        (replace(WEB, environment=(("PORT", "²"),)), set()),
        (replace(WEB, command=("uvicorn", "app", "--port", "8000")), {8000}),
        (replace(WEB, entrypoint=("gunicorn", "--bind=0.0.0.0:9000")), {9000}),
        (replace(WEB, health=HealthCheck(test=("curl", "http://localhost:7000/health"))), {7000}),
    ],
)
def test_the_ports_a_service_listens_on(service: Service, ports: set[int]) -> None:
    assert listening_ports(service) == ports


def test_exposed_ports_of_the_image_count_too() -> None:
    assert listening_ports(WEB, exposed=[1234]) == {1234}


def test_what_a_health_check_asks() -> None:
    check = HealthCheck(test=("curl -f http://127.0.0.1:8000/health?x=1 || wget localhost:9000",), shell=True)
    assert health_pages(replace(WEB, health=check)) == ((8000, "/health"), (9000, "/"))
    assert health_pages(WEB) == ()
