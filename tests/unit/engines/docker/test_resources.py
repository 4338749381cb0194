"""Which network owns a range, and which range is free."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.engines.docker.resources import free_subnet, overlapping


def network(name: str, *subnets: str) -> dict[str, Any]:
    return {"Name": name, "IPAM": {"Config": [{"Subnet": subnet} for subnet in subnets]}}


TAKEN = [
    network("bridge", "172.17.0.0/16"),
    network("shop", "10.1.0.0/24", "fd00::/64"),
    {"Name": "host", "IPAM": {"Config": None}},
]


@pytest.mark.parametrize(
    ("subnet", "owner"),
    [
        ("172.17.3.0/24", ("bridge", "172.17.0.0/16")),
        ("172.16.0.0/12", ("bridge", "172.17.0.0/16")),
        ("10.1.0.128/25", ("shop", "10.1.0.0/24")),
        ("fd00::/80", ("shop", "fd00::/64")),
        ("10.2.0.0/24", None),
        ("172.18.0.0/16", None),
    ],
)
def test_the_owner_of_an_overlapping_range(subnet: str, owner: tuple[str, str] | None) -> None:
    assert overlapping(subnet, TAKEN) == owner


def test_the_next_free_range_has_the_same_size() -> None:
    assert free_subnet("10.1.0.0/24", [*TAKEN, network("a", "10.1.1.0/24")]) == "10.1.2.0/24"


def test_public_ranges_are_never_proposed() -> None:
    assert free_subnet("8.8.8.0/24", TAKEN) is None


def test_ipv6_ranges_are_left_to_the_user() -> None:
    assert free_subnet("fd00::/64", TAKEN) is None


@given(st.lists(st.integers(0, 255), max_size=20), st.integers(0, 255))
def test_what_is_proposed_is_free(taken: list[int], wanted: int) -> None:
    networks = [network(f"n{number}", f"10.9.{number}.0/24") for number in taken]

    proposed = free_subnet(f"10.9.{wanted}.0/24", networks)

    assert proposed is not None
    assert overlapping(proposed, networks) is None
