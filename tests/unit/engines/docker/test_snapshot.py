"""The engine's answers as plans see them; the answers are those of a real Docker Engine 20.10, shortened."""

from __future__ import annotations

from typing import Any

import pytest

from havre.engines.docker import snapshot
from havre.model.health import HealthState
from havre.model.observed import ObservedImage, ObservedNetwork, ObservedReplica, ReplicaState

CREATED = 1_795_213_699

LISTED: dict[str, Any] = {
    "Id": "d59e",
    "Names": ["/other/alias", "/shop-web-2"],
    "Image": "shop/web:1",
    "ImageID": "sha256:7e76",
    "Created": CREATED,
    "Labels": {
        "havre.instance": "shop",
        "havre.service": "web",
        "havre.slot": "2",
        "havre.release": "7",
        "havre.fingerprint": "v1 a=1",
        "havre.role": "replica",
    },
    "State": "running",
    "Status": "Up 3 minutes (healthy)",
    "NetworkSettings": {
        "Networks": {"b": {"IPAddress": "10.0.0.2"}, "a": {"IPAddress": "10.1.0.2"}, "c": {"IPAddress": ""}}
    },
}

INSPECTED: dict[str, Any] = {
    "Id": "d59e",
    "Name": "/shop-web-2",
    "Image": "sha256:7e76",
    "RestartCount": 4,
    "State": {
        "Status": "exited",
        "ExitCode": 137,
        "OOMKilled": True,
        "StartedAt": "2026-11-20T22:28:19.439201123Z",
        "FinishedAt": "2026-11-20T22:28:22.5Z",
    },
    "Config": {"Image": "shop/web:1", "Labels": LISTED["Labels"]},
    "NetworkSettings": {"Networks": {"a": {"IPAddress": ""}}},
}


def test_a_listed_replica() -> None:
    assert snapshot.replica(LISTED) == ObservedReplica(
        service="web",
        slot=2,
        id="d59e",
        name="shop-web-2",
        state=ReplicaState.RUNNING,
        release=7,
        fingerprint="v1 a=1",
        image_id="sha256:7e76",
        image="shop/web:1",
        addresses=(("a", "10.1.0.2"), ("b", "10.0.0.2")),
        health=HealthState.HEALTHY,
        started_at=float(CREATED),
    )


def test_an_inspected_replica() -> None:
    seen = snapshot.inspected_replica(INSPECTED)

    assert (seen.service, seen.slot, seen.release, seen.name) == ("web", 2, 7, "shop-web-2")
    assert (seen.state, seen.exit_code, seen.oom_killed, seen.restarts) == (ReplicaState.EXITED, 137, True, 4)
    assert (seen.started_at, seen.finished_at) == (1795213699.4392011, 1795213702.5)


@pytest.mark.parametrize(
    ("status", "code", "state"),
    [
        ("created", None, ReplicaState.CREATED),
        ("running", None, ReplicaState.RUNNING),
        ("paused", None, ReplicaState.PAUSED),
        ("restarting", 137, ReplicaState.RESTARTING),
        ("exited", 137, ReplicaState.EXITED),
        ("dead", 137, ReplicaState.EXITED),
        ("removing", 137, ReplicaState.EXITED),
    ],
)
def test_states_and_whether_an_exit_code_means_something(status: str, code: int | None, state: ReplicaState) -> None:
    seen = snapshot.inspected_replica(INSPECTED | {"State": INSPECTED["State"] | {"Status": status}})

    assert (seen.state, seen.exit_code) == (state, code)


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ("Up 3 minutes (healthy)", HealthState.HEALTHY),
        ("Up 3 minutes (unhealthy)", HealthState.UNHEALTHY),
        ("Up 3 seconds (health: starting)", HealthState.STARTING),
        ("Up 3 minutes", HealthState.NONE),
    ],
)
def test_health_as_listed(status: str, health: HealthState) -> None:
    assert snapshot.replica(LISTED | {"Status": status}).health is health


@pytest.mark.parametrize(
    ("status", "age", "plain"),
    [
        ("Up Less than a second", 0.5, True),
        ("Up 4 seconds", 4, True),
        ("Up 4 seconds", 40, False),
        ("Up About a minute", 75, True),
        ("Up 3 minutes (healthy)", 200, True),
        ("Up 3 minutes (healthy)", 900, False),
        ("Up 3 minutes (unhealthy)", 200, False),
        ("Up About an hour", 4000, True),
        ("Up 40 hours", 40 * 3600 + 60, True),
        ("Up 3 days", 3 * 86400 + 100, True),
        ("Up 3 days", 30 * 86400, False),
        ("Up 5 weeks", 36 * 86400, True),
        ("Up 3 months", 100 * 86400, True),
        ("Up 2 years", 2.5 * 365 * 86400, True),
        ("something new", 100, False),
    ],
)
def test_what_was_restarted_is_not_plainly_running(status: str, age: float, plain: bool) -> None:
    assert snapshot.is_plainly_running(LISTED | {"Status": status}, CREATED + age) is plain


@pytest.mark.parametrize("state", ["exited", "restarting", "created", "paused", "dead"])
def test_what_does_not_run_is_not_plainly_running(state: str) -> None:
    assert not snapshot.is_plainly_running(LISTED | {"State": state}, CREATED)


def test_networks_with_and_without_ranges() -> None:
    found = {
        "Name": "n",
        "Id": "1",
        "Driver": "bridge",
        "Internal": True,
        "Labels": {"havre.instance": "shop"},
        "IPAM": {"Config": [{"Subnet": "10.1.0.0/24", "Gateway": "10.1.0.1"}, {"Subnet": "fd00::/64"}]},
    }
    bare = {"Name": "host", "Id": "2", "Driver": "host", "Labels": None, "IPAM": {"Config": None}}

    assert snapshot.network(found) == ObservedNetwork(
        name="n",
        id="1",
        instance="shop",
        subnets=(("10.1.0.0/24", "10.1.0.1"), ("fd00::/64", None)),
        driver="bridge",
        internal=True,
    )
    assert snapshot.network(bare) == ObservedNetwork(name="host", id="2", driver="host")


def test_an_image() -> None:
    found = {
        "Id": "sha256:1",
        "RepoDigests": ["other@sha256:9", "postgres@sha256:5"],
        "Size": 7,
        "Created": "2026",
        "Config": {
            "ExposedPorts": {"8000/tcp": {}, "53/udp": {}, "80/tcp": {}},
            "Healthcheck": {"Test": ["CMD", "x"]},
            "Entrypoint": ["docker-entrypoint.sh"],
            "Labels": {"b": "2", "a": "1"},
        },
    }

    image = snapshot.image("docker.io/library/postgres:15", found)

    assert image == ObservedImage(
        reference="docker.io/library/postgres:15",
        id="sha256:1",
        digest="sha256:5",
        size=7,
        exposed=(80, 8000),
        health=("CMD", "x"),
        has_entrypoint=True,
        labels=(("a", "1"), ("b", "2")),
        created="2026",
    )
    assert snapshot.image("x", {"Id": "1", "Config": None}) == ObservedImage(
        reference="x", id="1", has_entrypoint=False
    )


@pytest.mark.parametrize(
    ("reference", "listed"),
    [
        ("redis", "redis:latest"),
        ("redis:7", "redis:7"),
        ("docker.io/library/redis:7", "redis:7"),
        ("docker.io/bitnami/redis", "bitnami/redis:latest"),
        ("localhost:5000/shop/web", "localhost:5000/shop/web:latest"),
        ("localhost:5000/shop/web:2", "localhost:5000/shop/web:2"),
        ("redis@sha256:abc", "redis@sha256:abc"),
        ("registry:5000/redis:7@sha256:abc", "registry:5000/redis@sha256:abc"),
        ("sha256:abc", "sha256:abc"),
    ],
)
def test_references_as_the_engine_lists_them(reference: str, listed: str) -> None:
    assert snapshot.familiar(reference) == listed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T22:28:19.439201123Z", 1795213699.4392011),
        ("2026-11-20T22:28:19Z", 1795213699.0),
        ("2026-11-20T23:28:19+01:00", 1795213699.0),
        ("0001-01-01T00:00:00Z", 0.0),
        ("", 0.0),
        ("yesterday", 0.0),
    ],
)
def test_times(text: str, expected: float) -> None:
    assert snapshot.seconds(text) == expected
