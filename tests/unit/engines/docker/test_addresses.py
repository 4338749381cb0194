"""Addresses that replicas keep: free ones, away from where Docker looks first."""

from __future__ import annotations

from typing import Any

from havre.engines.docker.addresses import choose, is_fixed, ranges, taken_addresses


def network(subnet: str = "172.18.0.0/16", gateway: str = "172.18.0.1", **more: Any) -> dict[str, Any]:
    found = {"Name": "shop_default", "Driver": "bridge", "Labels": {"havre.addresses": "fixed"}}
    return {**found, "IPAM": {"Config": [{"Subnet": subnet, "Gateway": gateway}]}, **more}


def test_an_address_is_chosen_from_the_upper_half() -> None:
    chosen = choose(network(), (), "shop")
    assert chosen is not None
    assert int(chosen.split(".")[2]) >= 128


def test_every_address_of_the_upper_half_is_given_once_and_no_other() -> None:
    taken: set[str] = set()
    while chosen := choose(network("10.0.0.0/28", "10.0.0.1"), taken, "shop"):
        taken.add(chosen)
    assert taken == {f"10.0.0.{last}" for last in range(8, 15)}


def test_a_gateway_and_addresses_set_aside_are_never_given() -> None:
    aside = network("10.0.0.0/29", "10.0.0.6")
    aside["IPAM"]["Config"][0]["AuxiliaryAddresses"] = {"printer": "10.0.0.5"}
    assert choose(aside, (), "shop") == "10.0.0.4"


def test_a_stopped_container_keeps_its_address() -> None:
    stopped = {"NetworkSettings": {"Networks": {"n": {"IPAddress": "", "IPAMConfig": {"IPv4Address": "10.0.0.9"}}}}}
    running = {"NetworkSettings": {"Networks": {"n": {"IPAddress": "10.0.0.2", "IPAMConfig": None}}}}
    assert taken_addresses("n", [stopped, running, {}]) == {"10.0.0.9", "10.0.0.2"}


def test_networks_of_others_and_of_other_drivers_are_left_to_the_engine() -> None:
    assert is_fixed(network())
    assert not is_fixed(network(Labels=None))
    assert not is_fixed(network(Driver="macvlan"))
    assert choose(network("fd00::/64", "fd00::1"), (), "shop") is None


def test_what_the_engine_found_is_asked_for_again() -> None:
    assert ranges(network()) == [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]
