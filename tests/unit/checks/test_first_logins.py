"""Before a deploy: well-known servers that would start with the login that everybody knows."""

from __future__ import annotations

from typing import Any

import pytest

PUBLIC = "ports: ['3300:3000']"


def compose(image: str, rest: str = "") -> str:
    return f"services: {{it: {{image: '{image}', {rest}}}}}"


@pytest.mark.parametrize(
    ("image", "user", "setting"),
    [
        ("grafana/grafana:11.2", "admin", "GF_SECURITY_ADMIN_PASSWORD"),
        ("grafana/grafana-oss:11.2", "admin", "GF_SECURITY_ADMIN_PASSWORD"),
        ("grafana/grafana-enterprise", "admin", "GF_SECURITY_ADMIN_PASSWORD"),
        ("rabbitmq:3-management", "guest", "RABBITMQ_DEFAULT_PASS"),
        ("quay.io/minio/minio:RELEASE.2024", "minioadmin", "MINIO_ROOT_PASSWORD"),
        ("neo4j:5", "neo4j", "NEO4J_AUTH"),
        ("apache/activemq-classic:6.1", "admin", "ACTIVEMQ_WEB_PASSWORD"),
    ],
)
def test_a_server_without_a_password_of_its_own_is_told_of(judge: Any, image: str, user: str, setting: str) -> None:
    (found,) = judge.problems("first-login", compose(image))
    assert found.summary == f"nothing gives {user} a password: it starts with the one that everybody knows"
    assert found.severity.value == "warning"
    assert f"`{setting}: " in found.hint
    assert judge.problems("first-login", compose(image, f"environment: {{{setting}: 4f1c9a7be2}}")) == []


@pytest.mark.parametrize(
    ("image", "hint"),
    [
        ("grafana/grafana:11.2", "GF_SECURITY_ADMIN_PASSWORD: ${GF_SECURITY_ADMIN_PASSWORD}"),
        ("minio/minio:1", "MINIO_ROOT_USER: root`, `MINIO_ROOT_PASSWORD: ${MINIO_ROOT_PASSWORD}"),
        ("neo4j:5", "NEO4J_AUTH: neo4j/${NEO4J_PASSWORD}"),
        ("apache/activemq-classic:6.1", "ACTIVEMQ_WEB_USER: admin`, `ACTIVEMQ_WEB_PASSWORD: ${ACTIVEMQ_WEB_PASSWORD}"),
    ],
)
def test_what_to_write_is_what_the_image_takes(judge: Any, image: str, hint: str) -> None:
    (found,) = judge.problems("first-login", compose(image))
    generated = hint.rpartition("${")[2].rstrip("}")
    assert found.hint == f"`havre secrets generate {generated}`, and in its `environment` `{hint}`"


def test_the_settings_of_other_makers_of_an_image_count_too(judge: Any) -> None:
    rest = "ports: ['15672:15672'], environment: {RABBITMQ_USERNAME: app, RABBITMQ_PASSWORD: 4f1c9a7be2}"
    assert judge.problems("first-login", compose("bitnami/rabbitmq:3.13", rest)) == []


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
def test_one_that_only_this_machine_reaches_is_warned_of(judge: Any, address: str) -> None:
    (found,) = judge.problems("first-login", compose("grafana/grafana:11.2", f"ports: ['{address}:3300:3000']"))
    assert found.severity.value == "warning"


@pytest.mark.parametrize(
    ("manifest", "rest", "led"),
    [
        ("app: shop\n", PUBLIC, "led to by port 3300"),
        ("app: shop\nroutes: [{host: a.example, to: 'it:3000'}]\n", "", "led to by a route"),
    ],
)
def test_one_that_visitors_reach_is_refused_in_production(judge: Any, manifest: str, rest: str, led: str) -> None:
    (found,) = judge.problems("first-login", compose("grafana/grafana:11.2", rest), manifest)
    assert (found.severity.value, found.evidence[-1]) == ("error", led)


@pytest.mark.parametrize(
    "rest",
    [
        "volumes: ['/srv/shop/grafana.ini:/etc/grafana/grafana.ini:ro']",
        "volumes: ['/srv/shop/grafana:/etc/grafana']",
        "environment: {GF_SECURITY_ADMIN_PASSWORD__FILE: /run/secrets/grafana}",
    ],
)
def test_what_its_own_configuration_says_is_not_judged(judge: Any, rest: str) -> None:
    assert judge.problems("first-login", compose("grafana/grafana:11.2", rest)) == []


def test_provisioned_dashboards_are_no_configuration_of_logins(judge: Any) -> None:
    rest = "volumes: ['/srv/shop/boards:/etc/grafana/provisioning']"
    assert len(judge.problems("first-login", compose("grafana/grafana:11.2", rest))) == 1


@pytest.mark.parametrize(
    ("image", "setting", "value"),
    [
        ("grafana/grafana:11.2", "GF_SECURITY_ADMIN_PASSWORD", "admin"),
        ("rabbitmq:3", "RABBITMQ_DEFAULT_PASS", "guest"),
        ("minio/minio:1", "MINIO_ROOT_PASSWORD", "minioadmin"),
        ("quay.io/keycloak/keycloak:26", "KC_BOOTSTRAP_ADMIN_PASSWORD", "admin"),
        ("quay.io/keycloak/keycloak:21", "KEYCLOAK_ADMIN_PASSWORD", "admin"),
        ("elasticsearch:8.15", "ELASTIC_PASSWORD", "changeme"),
        ("neo4j:5", "NEO4J_AUTH", "neo4j/neo4j"),
    ],
)
def test_the_first_password_is_no_password_either(judge: Any, image: str, setting: str, value: str) -> None:
    (found,) = judge.problems("variable-placeholder", compose(image, f"environment: {{{setting}: {value}}}"))
    assert found.severity.value == "error"
    assert setting in found.summary
