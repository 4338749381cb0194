"""What the next backups will take is known from the last good ones."""

from __future__ import annotations

from pathlib import Path

from havre.backups.book import Book
from havre.model.backup import Part, Snapshot, Verdict
from havre.model.units import MIB
from havre.store.state import State
from havre.workflows.disk_needs import next_backups


def snapshot(service: str, at: float, repository: str, *, added: int = 0, verdict: Verdict = Verdict.GOOD) -> Snapshot:
    return Snapshot(
        id=f"{service}-{at:g}", instance="shop", service=service, kind="postgres", started_at=at, verdict=verdict,
        parts=(Part(name="db", file="db", size=100 * MIB),), repository=repository, added=added,
    )  # fmt: skip


def test_the_newest_good_snapshot_of_each_service_tells_what_the_next_takes(tmp_path: Path) -> None:
    state = State(tmp_path)
    book, own = Book(state.backups), str(state.backups / "repo")
    for one in (
        snapshot("db", 1, own, added=90 * MIB),
        snapshot("db", 2, own, added=4 * MIB),
        snapshot("db", 3, own, added=70 * MIB, verdict=Verdict.SUSPICIOUS),
        snapshot("files", 1, "age:/mnt/usb"),
        snapshot("elsewhere", 1, "s3:https://s3.example.org/x", added=MIB),
    ):
        book.write(one)
    found = {need.name: (need.purpose, need.size // MIB) for need in next_backups(state, "shop")}
    assert found == {"shop/db": ("backups", 8), "shop/files": ("/mnt/usb", 20)}
    assert list(next_backups(state, "nobody")) == []
