"""The write-ahead log as files and what follows from it: order, holes, windows, and what may go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from havre.backups.wal import (
    base_for,
    lsn,
    missing_between,
    room_for_log,
    segments_among,
    shipments_for,
    superseded,
    to_drop,
    windows,
)
from havre.model.pitr import Archive, Base, Chain, Shipment, Window

SIZE = 16 * 1024 * 1024
DAY = 86400.0
CHAIN = Chain(id="one", system="7", segment=SIZE, timeline=1, start=0, began=0.0)


def base(name: str, ended: float, *, chain: Chain = CHAIN, segment: int = 0) -> Base:
    return Base(
        id=name, instance="shop", service="db", chain=chain, began=ended - 10, ended=ended, start=segment * SIZE,
        end=segment * SIZE + 1000, size=1, files=1, repository="/r", restic="x",
    )  # fmt: skip


def shipped(first: int, last: int, until: float, *, chain: str = "one", partial: bool = True) -> Shipment:
    return Shipment(id=f"{chain}-{last}-{until}", chain=chain, first=first, last=last, is_partial=partial, until=until)


def test_segments_are_read_in_order_and_a_whole_file_hides_its_unfinished_self() -> None:
    names = [
        "0000000100000001000000FF",
        "000000010000000200000000.partial",
        "000000010000000200000000",
        "00000002.history",
    ]
    found = segments_among(names, SIZE)
    assert [(one.number, one.is_partial) for one in found] == [(511, False), (512, False)]


def test_segments_of_another_size_are_numbered_by_it() -> None:
    assert segments_among(["000000010000000100000003.partial"], 1 << 30)[0].number == 7


def test_a_position_is_read_as_bytes() -> None:
    assert lsn("1/10") == (1 << 32) + 16


@pytest.mark.parametrize(
    ("last", "numbers", "hole"),
    [(None, [5, 6], None), (4, [5, 6], None), (6, [5, 6, 7], None), (4, [6], (5, 6)), (4, [5, 8], (6, 8))],
)
def test_a_missing_file_is_found(last: int | None, numbers: list[int], hole: tuple[int, int] | None) -> None:
    segments = segments_among([f"00000001{0:08X}{number:08X}" for number in numbers], SIZE)
    assert missing_between(last, segments) == hole


def test_a_window_begins_at_the_end_of_the_first_base_and_a_gap_ends_it() -> None:
    ended, fresh = replace(CHAIN, ended=500.0), replace(CHAIN, id="two")
    archive = Archive(
        chains=(ended, fresh),
        bases=(base("a", 100.0, chain=ended), base("b", 700.0, chain=fresh)),
        shipments=(shipped(0, 3, 450.0), shipped(0, 1, 800.0, chain="two")),
        known_until=820.0,
    )
    assert windows(archive) == (Window(since=100.0, until=450.0), Window(since=700.0, until=820.0))
    assert [found and found.id for found in (base_for(archive, at) for at in (99.0, 450.0, 600.0, 700.0, 821.0))] == [
        None, "a", None, "b", None,
    ]  # fmt: skip


def test_the_newest_base_before_the_moment_is_replayed_with_the_log_behind_it_only() -> None:
    archive = Archive(
        chains=(CHAIN,),
        bases=(base("a", 100.0), base("b", 300.0, segment=6)),
        shipments=(shipped(0, 4, 250.0), shipped(4, 8, 350.0), shipped(8, 8, 400.0), shipped(8, 9, 450.0)),
        known_until=450.0,
    )
    assert (base_for(archive, 299.0) or base("", 0)).id == "a"
    newest = base_for(archive, None)
    assert newest is not None
    assert newest.id == "b"
    assert [one.last for one in shipments_for(archive, newest)] == [8, 9]


def test_a_shipment_that_a_later_one_repeats_is_superseded() -> None:
    archive = Archive(shipments=(shipped(0, 5, 1.0), shipped(5, 6, 2.0), shipped(5, 6, 3.0), shipped(6, 7, 4.0)))
    assert [one.until for one in superseded(archive, "one")] == [2.0]


def test_bases_stay_as_long_as_a_moment_that_is_kept_needs_them_and_their_log_with_them() -> None:
    now = 20 * DAY
    bases = tuple(base(f"b{day}", day * DAY, segment=day) for day in range(1, 20))
    log = tuple(shipped(day, day, day * DAY + 1, partial=False) for day in range(1, 21))
    archive = Archive(chains=(CHAIN,), bases=bases, shipments=log, known_until=now)
    gone, useless = to_drop(archive, 7 * DAY, now)
    assert {one.id for one in gone} == {f"b{day}" for day in range(1, 13)}
    assert {one.last for one in useless} == set(range(1, 13))


def test_the_last_base_and_its_log_never_go_however_old() -> None:
    archive = Archive(
        chains=(CHAIN,), bases=(base("a", 1.0, segment=2),), shipments=(shipped(2, 3, 2.0),), known_until=2.0
    )
    assert to_drop(archive, DAY, 100 * DAY) == ((), ())


def test_the_log_of_a_chain_whose_first_base_is_under_way_stays() -> None:
    old, fresh = replace(CHAIN, ended=50.0), replace(CHAIN, id="two", began=60.0)
    archive = Archive(
        chains=(old, fresh),
        bases=(base("a", 1.0, chain=old),),
        shipments=(shipped(0, 3, 50.0), shipped(7, 8, 70.0, chain="two")),
    )
    assert to_drop(archive, DAY, 100.0) == ((), ())
    later = to_drop(replace(archive, bases=(*archive.bases, base("b", 80.0, chain=fresh, segment=8))), DAY, 100 * DAY)
    assert ([one.id for one in later[0]], [one.chain for one in later[1]]) == (["a"], ["one"])


def test_a_restore_to_a_moment_needs_room_for_the_base_and_twice_its_log() -> None:
    taken = base("b", 10.0, segment=3)
    log = (shipped(1, 2, 5.0), shipped(3, 4, 20.0), shipped(5, 7, 30.0))
    assert room_for_log(Archive(chains=(CHAIN,), bases=(taken,), shipments=log), taken) == 2 * 5 * SIZE
