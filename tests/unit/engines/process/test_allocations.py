"""Addresses and users are given once, kept, and given back."""

from __future__ import annotations

import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from havre.engines.process.allocations import FIRST_HOST, FIRST_USER, LAST_HOST, Allocations
from havre.errors import RefusedError

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")


def test_an_address_is_kept_until_it_is_given_back(tmp_path: Path) -> None:
    book = Allocations(tmp_path)
    first = book.address("shop", "web.1")
    assert Allocations(tmp_path).address("shop", "web.1") == first
    assert ipaddress.ip_address(first) in LOOPBACK
    book.release_address("shop", "web.1")
    assert book.address("shop", "web.2") != first, "connections to the one that left must not meet the newcomer"


def test_instances_and_networks_never_share_a_block(tmp_path: Path) -> None:
    book = Allocations(tmp_path)
    blocks = {book.address("a", "x.1").rpartition(".")[0], book.address("b", "x.1").rpartition(".")[0]}
    subnet, gateway = book.network("a_default")
    assert ipaddress.ip_address(gateway) in ipaddress.ip_network(subnet)
    assert gateway.rpartition(".")[0] not in blocks
    assert len(blocks) == 2
    assert book.network("a_default") == (subnet, gateway)


def test_a_block_that_somebody_listens_in_is_left_alone(tmp_path: Path) -> None:
    wanted = Allocations(tmp_path).network("probe")[1]
    Allocations(tmp_path).release_network("probe")
    with socket.create_server((wanted, 0)):
        assert Allocations(tmp_path).network("other")[1] != wanted


def test_a_full_block_is_refused_in_words(tmp_path: Path) -> None:
    book = Allocations(tmp_path)
    count = LAST_HOST - FIRST_HOST + 1
    assert len({book.address("shop", f"web.{slot}") for slot in range(count)}) == count
    with pytest.raises(RefusedError, match="no more loopback addresses"):
        book.address("shop", "web.9999")


def test_users_are_distinct_and_stable(tmp_path: Path) -> None:
    book = Allocations(tmp_path)
    assert [book.user("a"), book.user("b"), book.user("a")] == [FIRST_USER, FIRST_USER + 1, FIRST_USER]


def test_many_at_once_get_different_addresses(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda slot: Allocations(tmp_path).address("shop", f"web.{slot}"), range(24)))
    assert len(set(found)) == 24
