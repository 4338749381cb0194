"""How replicas find each other, with a hosts file of their own and without."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from havre.engines.process.names import (
    addresses_by_name,
    host_variables,
    hosts_text,
    nsswitch_text,
    variable_with_address,
    with_addresses,
)
from havre.engines.process.records import Launch

WEB = Launch(instance="shop", service="web", slot=1, argv=("x",), address="127.64.0.16", networks=("front", "back"))
DB = Launch(
    instance="shop", service="db", slot=1, argv=("x",), address="127.64.0.17", networks=("back",), aliases=("sql",)
)
KNOWN = {"db": "127.64.0.17", "cache": "127.64.0.18"}


def _lines(launch: Launch, *others: Launch) -> list[str]:
    return [line.strip() for line in hosts_text(launch, others).splitlines() if line.strip()]


def test_itself_and_its_neighbours_by_name_and_alias() -> None:
    assert _lines(WEB, DB) == ["127.64.0.16 localhost web-1 web", "127.64.0.17 db sql"]


def test_who_shares_no_network_is_not_known() -> None:
    assert _lines(WEB, replace(DB, networks=("other",))) == ["127.64.0.16 localhost web-1 web"]


def test_names_that_are_given_win() -> None:
    web = replace(WEB, names=(("db", "127.64.1.1"),), extra_hosts=(("api", "10.0.0.1"),))
    assert addresses_by_name(web, [DB])["db"] == "127.64.1.1"
    assert addresses_by_name(web, [DB])["sql"] == "127.64.0.17"
    assert addresses_by_name(web, [DB])["api"] == "10.0.0.1"


def test_the_newest_release_comes_first_and_one_offs_are_nobody() -> None:
    newer = replace(DB, slot=2, release=7, address="127.64.0.19")
    task = replace(DB, slot=9001, role="task", address="127.64.0.20")
    assert _lines(WEB, DB, newer, task)[1:] == ["127.64.0.19 db sql", "127.64.0.17 db sql"]


@given(st.lists(st.sampled_from([DB, replace(DB, service="other"), replace(DB, slot=3, address="127.64.0.99")])))
def test_its_length_is_always_whole_blocks(others: list[Launch]) -> None:
    assert len(hosts_text(WEB, others).encode()) % 1024 == 0


def test_names_come_from_files_first_whatever_the_machine_does() -> None:
    text = nsswitch_text("passwd: files\nhosts: mymachines resolve [!UNAVAIL=return] files dns\n")
    assert text == "passwd: files\nhosts: files dns\n"


def test_hosts_in_addresses_are_replaced_and_nothing_else() -> None:
    assert with_addresses("postgresql://db:p@db:5432/db?x=db", KNOWN) == "postgresql://db:p@127.64.0.17:5432/db?x=db"
    assert with_addresses("redis://cache", KNOWN) == "redis://127.64.0.18"
    assert with_addresses("cache:6379,db:1", KNOWN) == "127.64.0.18:6379,127.64.0.17:1"
    assert with_addresses("http://dbx:80/ and db", KNOWN) == "http://dbx:80/ and db"
    assert with_addresses("http://db:1,cache:2/x", KNOWN) == "http://127.64.0.17:1,127.64.0.18:2/x"


def test_a_bare_name_is_replaced_only_where_a_host_is_expected() -> None:
    assert variable_with_address("POSTGRES_HOST", "db", KNOWN) == "127.64.0.17"
    assert variable_with_address("POSTGRES_DB", "db", KNOWN) == "db"


def test_every_name_has_a_variable() -> None:
    assert dict(host_variables({"my-db": "127.0.0.9"})) == {"HAVRE_HOST_MY_DB": "127.0.0.9"}
