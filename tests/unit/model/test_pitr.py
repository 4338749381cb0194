"""The record of a kept log: its chains, and what each one's replication slot is called."""

from __future__ import annotations

from dataclasses import replace

from havre.model.pitr import Archive, Chain

FIRST = Chain(id="20261101-a", system="s1", segment=16 << 20, timeline=1, start=0, began=1.0)
SECOND = replace(FIRST, id="20261102-b", began=2.0)


def test_a_replication_slot_has_a_name_that_the_server_accepts() -> None:
    assert FIRST.slot == "havre_20261101_a"


def test_a_chain_is_added_once_and_changed_in_its_place() -> None:
    archive = Archive().with_chain(FIRST).with_chain(SECOND)
    assert archive.open_chain == SECOND
    ended = archive.with_chain(replace(SECOND, ended=3.0, reason="a gap"))
    assert [chain.id for chain in ended.chains] == [FIRST.id, SECOND.id]
    assert ended.open_chain == FIRST
