"""What killed backups left is told from what counts, and from what is still being stored."""

from __future__ import annotations

from datetime import UTC, datetime

from havre.backups.leftovers import AGE, leftovers
from havre.backups.repository import Listed

NOW = 1_800_000_000.0


def stored(name: str, age: float, *tags: str, owner: str = "db-1") -> Listed:
    at = datetime.fromtimestamp(NOW - age, UTC).isoformat().replace("+00:00", ".123456789Z")
    return Listed(id=name, time=at, tags=("instance=shop", "service=db", f"backup={owner}", *tags), paths=("/x",))


def test_streams_without_a_record_go_after_a_day() -> None:
    killed = (stored("a", AGE + 60), stored("b", AGE + 30))
    assert leftovers(killed, NOW) == ("a", "b")
    assert leftovers((*killed, stored("c", 60)), NOW) == (), "somebody is still at work on it"


def test_what_has_its_record_stays() -> None:
    for tag in ("havre-record", "havre-base", "havre-wal"):
        assert leftovers((stored("a", 2 * AGE), stored("b", 2 * AGE, tag)), NOW) == ()


def test_a_base_that_was_killed_goes_and_its_neighbours_stay() -> None:
    found = leftovers(
        (
            stored("half", 2 * AGE, "havre-base-tar", owner="db-base-1"),
            stored("tar", 2 * AGE, "havre-base-tar", owner="db-base-2"),
            stored("record", 2 * AGE, "havre-base", owner="db-base-2"),
            Listed(id="foreign", time="2020-01-01T00:00:00Z", tags=("instance=shop",), paths=("/y",)),
        ),
        NOW,
    )
    assert found == ("half",)
