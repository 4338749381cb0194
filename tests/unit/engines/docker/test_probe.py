"""What a probe's end means."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

import pytest

from havre.engines.base import Executed
from havre.engines.docker.probe import check_command, judge, known_port, listens, where_instead
from havre.model.health import HealthState
from havre.model.project import Port, Service

WEB = Service(name="web", image="web:1")


@pytest.mark.parametrize(
    ("output", "state"),
    [
        ("PONG", HealthState.HEALTHY),
        ("", HealthState.HEALTHY),
        ("/tmp:5432 - accepting connections", HealthState.HEALTHY),
        ('{"status":"healthy","errors":0,"error":null}', HealthState.HEALTHY),
        ("HTTP/1.1 200 OK", HealthState.HEALTHY),
        ("NOAUTH Authentication required.", HealthState.UNVERIFIED),
        ("(error) NOAUTH Authentication required.", HealthState.UNVERIFIED),
        ("AUTH failed: WRONGPASS invalid username-password pair", HealthState.UNVERIFIED),
        ("(error) ERR unknown command", HealthState.UNVERIFIED),
        ("/bin/sh: 1: curl: not found", HealthState.UNVERIFIED),
        ("sh: curl: command not found", HealthState.UNVERIFIED),
        ("LOADING Redis is loading the dataset in memory", HealthState.UNHEALTHY),
        ("curl: (7) Failed to connect to localhost port 80: Connection refused", HealthState.UNHEALTHY),
        ("Could not connect to Redis at 127.0.0.1:6379", HealthState.UNHEALTHY),
        ("psql: FATAL:  the database system is starting up", HealthState.UNHEALTHY),
        ('{"status": "unhealthy", "database": "down"}', HealthState.UNHEALTHY),
        ('{"health":"DOWN"}'.lower(), HealthState.UNHEALTHY),
        ("HTTP/1.1 503 Service Unavailable", HealthState.UNHEALTHY),
    ],
)
def test_what_was_said_counts_beside_exit_code_0(output: str, state: HealthState) -> None:
    assert judge("ask", Executed(exit_code=0, output=output)).state is state


def test_a_failed_probe_is_unhealthy_whatever_it_said() -> None:
    result = judge("ask", Executed(exit_code=1, output="PONG\n"))

    assert (result.state, result.exit_code, result.output, result.asked) == (HealthState.UNHEALTHY, 1, "PONG", "ask")


def test_the_reason_is_told_with_the_words() -> None:
    result = judge("redis-cli ping", Executed(exit_code=0, output="NOAUTH Authentication required."))

    assert result.output == (
        "NOAUTH Authentication required.\n(exit code 0, but it was not let in: it needs the password)"
    )


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"Healthcheck": {"Test": ["CMD", "a", "b c"]}}, (("a", "b c"), "a 'b c'")),
        ({"Healthcheck": {"Test": ["CMD-SHELL", "a | b"]}}, (("/bin/sh", "-c", "a | b"), "a | b")),
        (
            {"Healthcheck": {"Test": ["CMD-SHELL", "a"]}, "Shell": ["/bin/bash", "-ec"]},
            (("/bin/bash", "-ec", "a"), "a"),
        ),
        ({"Healthcheck": {"Test": ["NONE"]}}, None),
        ({"Healthcheck": {"Test": []}}, None),
        ({"Healthcheck": None}, None),
        ({}, None),
    ],
)
def test_the_check_of_a_container(config: dict[str, Any], expected: object) -> None:
    assert check_command(config) == expected


@pytest.mark.parametrize(
    ("service", "port"),
    [
        (replace(WEB, ports=(Port(target=53, protocol="udp"), Port(target=80))), 80),
        (replace(WEB, expose=("53/udp", "8080-8090")), 8080),
        (replace(WEB, ports=(Port(target=80),), expose=("90",)), 80),
        (WEB, 3000),
        (replace(WEB, command=("celery", "worker")), None),
        (replace(WEB, entrypoint=("run",)), None),
        (replace(WEB, command=("celery",), expose=("90",)), 90),
    ],
)
def test_the_port_that_ought_to_answer(service: Service, port: int | None) -> None:
    config: dict[str, Any] = {"ExposedPorts": {"9000/tcp": {}, "3000/tcp": {}, "53/udp": {}}}

    assert known_port(service, config) == port


def test_a_listening_port_is_healthy_and_a_closed_one_is_starting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listens("127.0.0.1", port).state is HealthState.HEALTHY

    closed = listens("127.0.0.1", port)

    assert closed.state is HealthState.STARTING
    assert closed.output == f"nothing listens on port {port} yet (Connection refused)"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ((), ""),
        ((("0.0.0.0", 8080), ("::", 8080), ("0.0.0.0", 9090)), "; it listens on 8080, 9090"),
        (
            (("127.0.0.1", 8000),),
            "; it listens on 127.0.0.1:8000 only, which nobody outside reaches: let it listen on 0.0.0.0",
        ),
    ],
)
def test_a_wrong_port_or_address_is_told(found: tuple[tuple[str, int], ...], told: str) -> None:
    assert where_instead(8000, found) == told
