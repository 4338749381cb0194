"""Every first login that everybody knows, tried against a server that has it still, and against one that has not."""

from __future__ import annotations

from pathlib import Path

import pytest
from first_logins import Elasticsearch, Grafana, Keycloak, KeycloakThatWantsTls, mail_server, rabbitmq, serving

from havre.edge import x509
from havre.workflows.live.doors import DOORS

CHANGED = ("admin", "f3a9c1d27be4")


def knocks(kind: str, port: int) -> list[bool]:
    return [door.knock("127.0.0.1", port) for door in DOORS[kind]]


@pytest.mark.parametrize(("knows", "is_open"), [(("admin", "admin"), True), (CHANGED, False)])
def test_grafana_and_keycloak_are_asked_as_admin(knows: tuple[str, str], is_open: bool) -> None:
    with serving(Grafana, knows=knows) as grafana, serving(Keycloak, knows=knows) as keycloak:
        assert knocks("grafana", grafana) == knocks("keycloak", keycloak) == [is_open]


@pytest.mark.parametrize(("knows", "is_open"), [(("admin", "admin"), True), (CHANGED, False)])
def test_a_keycloak_from_before_release_17_is_found_below_auth(knows: tuple[str, str], is_open: bool) -> None:
    with serving(Keycloak, knows=knows, prefix="/auth") as port:
        assert knocks("keycloak", port) == [is_open]


def test_a_refusal_that_never_looked_at_the_password_proves_nothing() -> None:
    with (
        serving(KeycloakThatWantsTls, knows=CHANGED) as port,
        pytest.raises(ConnectionError, match="answers 403, which tells nothing of the password"),
    ):
        knocks("keycloak", port)


@pytest.mark.parametrize("says_why", [True, False])
@pytest.mark.parametrize(("knows", "is_open"), [(("guest", "guest"), True), (CHANGED, False)])
def test_rabbitmq_is_asked_in_its_own_protocol(knows: tuple[str, str], is_open: bool, says_why: bool) -> None:
    with rabbitmq(knows=knows, says_why=says_why) as port:
        assert knocks("rabbitmq", port) == [is_open]


def test_what_does_not_speak_amqp_is_not_taken_for_a_refusal() -> None:
    with mail_server() as port, pytest.raises(ConnectionError, match="does not speak AMQP"):
        knocks("rabbitmq", port)


@pytest.mark.parametrize(
    ("knows", "opened"),
    [
        (None, [True, True, True]),
        (("elastic", "changeme"), [False, True, False]),
        (("admin", "admin"), [False, False, True]),
        (CHANGED, [False, False, False]),
    ],
)
@pytest.mark.parametrize("tls", [False, True])
def test_a_search_server_is_asked_without_a_password_and_with_its_first_one(
    tmp_path: Path, knows: tuple[str, str] | None, opened: list[bool], tls: bool
) -> None:
    """Since release 8 it speaks TLS only; with security off it has no page that tells who one is."""
    certificate = tmp_path / "server.pem"
    certificate.write_bytes(x509.self_signed(("localhost",)))
    with serving(Elasticsearch, knows=knows, certificate=certificate if tls else None) as port:
        assert knocks("elasticsearch", port) == opened
