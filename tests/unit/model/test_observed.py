"""Looking things up in a snapshot."""

from __future__ import annotations

from havre.model.health import HealthCheck
from havre.model.observed import (
    Observed,
    ObservedImage,
    ObservedNetwork,
    ObservedReplica,
    ObservedVolume,
    ReplicaState,
)


def replica(
    service: str, slot: int, role: str = "replica", state: ReplicaState = ReplicaState.RUNNING
) -> ObservedReplica:
    return ObservedReplica(service=service, slot=slot, id="", name="", state=state, role=role)


SEEN = Observed(
    instance="shop",
    replicas=(replica("web", 2), replica("web", 1), replica("web", 9001, "task"), replica("db", 1)),
    networks=(ObservedNetwork(name="a", id="1", subnets=(("fd00::/64", None), ("10.0.0.0/24", "10.0.0.1"))),),
    volumes=(ObservedVolume(name="data"),),
    images=(ObservedImage(reference="web:1", id="sha256:1"),),
)


def test_replicas_of_a_service_come_by_slot_without_its_tasks() -> None:
    assert [r.slot for r in SEEN.of_service("web")] == [1, 2]
    assert SEEN.of_service("nobody") == ()


def test_images_networks_and_volumes_are_found_by_name() -> None:
    found = (SEEN.image("web:1"), SEEN.network("a"), SEEN.volume("data"))
    assert [type(thing).__name__ for thing in found] == ["ObservedImage", "ObservedNetwork", "ObservedVolume"]
    assert (SEEN.image("web:2"), SEEN.network("b"), SEEN.volume("b")) == (None, None, None)


def test_the_gateway_is_the_first_that_is_known() -> None:
    network = SEEN.network("a")
    assert network is not None
    assert network.gateway == "10.0.0.1"
    assert ObservedNetwork(name="b", id="2").gateway is None


def test_only_a_running_replica_runs() -> None:
    assert [replica("web", 1, state=state).is_running for state in ReplicaState] == [
        state is ReplicaState.RUNNING for state in ReplicaState
    ]


def test_patience_is_the_time_after_which_docker_itself_gives_up() -> None:
    assert HealthCheck(test=("true",), interval=10, timeout=5, retries=3, start_period=20).patience == 65
