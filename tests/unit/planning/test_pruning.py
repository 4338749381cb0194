"""What may go from a server's disk: judged from records alone, and never what is needed, used or somebody else's."""

from __future__ import annotations

from typing import Any

import pytest

from havre.model.observed import Observed, ObservedReplica, ReplicaState
from havre.model.release import Release, ReleaseState
from havre.model.upkeep import Kind, Stored
from havre.planning.pruning import Book, leftovers, unneeded

BOOK = Book(
    instances=frozenset({"shop"}),
    needed=frozenset({"sha256:kept"}),
    outdated=frozenset({"sha256:old"}),
    fetched=frozenset({"postgres:15"}),
    before=1000.0,
)


def stored(kind: Kind = Kind.IMAGE, **more: Any) -> Stored:
    return Stored(**{"kind": kind, "id": "sha256:x", "size": 10, "created": 500.0, **more})


@pytest.mark.parametrize(
    "one",
    [
        stored(instance="shop"),
        stored(id="sha256:old", names=("postgres:15",)),
        stored(id="sha256:old"),
        stored(Kind.LOG, instance="shop"),
        stored(Kind.DEPENDENCIES),
    ],
)
def test_what_no_release_needs_may_go(one: Stored) -> None:
    assert [removal.stored for removal in unneeded([one], BOOK)] == [one]


@pytest.mark.parametrize(
    "one",
    [
        stored(instance="shop", in_use=True),
        stored(instance="shop", id="sha256:kept"),
        stored(instance="somebody"),
        stored(),
        stored(id="sha256:old", names=("postgres:15", "mine:1")),
        stored(id="sha256:other", names=("postgres:15",)),
        stored(Kind.LOG, instance="shop", created=2000.0),
        stored(Kind.LOG, instance="somebody"),
        stored(Kind.VOLUME, instance="shop"),
        stored(Kind.BACKUPS),
        stored(Kind.STATE),
        stored(Kind.CACHE),
    ],
)
def test_everything_else_stays(one: Stored) -> None:
    assert unneeded([one], BOOK) == ()


def test_the_biggest_is_first() -> None:
    found = unneeded([stored(instance="shop", size=size, id=f"sha256:{size}") for size in (1, 9, 5)], BOOK)
    assert [removal.stored.size for removal in found] == [9, 5, 1]


def test_leftovers_are_what_failed_before_the_newest_release() -> None:
    states = {1: ReleaseState.SERVING, 2: ReleaseState.FAILED, 3: ReleaseState.FAILED}
    releases = {
        number: Release(instance="shop", number=number, state=state, kind="deploy", started_at=0.0)
        for number, state in states.items()
    }
    over, up = ReplicaState.EXITED, ReplicaState.RUNNING
    replicas = tuple(
        ObservedReplica(service="web", slot=slot, id=str(slot), name=str(slot), state=state, release=release)
        for slot, (state, release) in enumerate([(over, 1), (over, 2), (up, 2), (over, 3), (over, 7)], start=1)
    )
    found = leftovers("shop", Observed(instance="shop", replicas=replicas), releases)
    assert [str(one) for one in found] == ["web.2 of release 2"]
