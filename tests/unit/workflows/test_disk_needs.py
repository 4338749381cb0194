"""What the next backups will take is known from the last good ones."""

from __future__ import annotations

from pathlib import Path

from data_stand import NoTraffic

from havre.backups.book import Book
from havre.engines.process.engine import ProcessEngine
from havre.model.backup import Part, Snapshot, Verdict
from havre.model.observed import Observed
from havre.model.units import MIB
from havre.store.state import State
from havre.workflows.disk_needs import disk_needs, next_backups
from havre.workflows.intent import Wish, read_app, read_intent
from havre.workflows.server import Server


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


def test_services_that_are_built_alike_are_counted_once(tmp_path: Path) -> None:
    for name, content in {"compose.yaml": SHARED, "Dockerfile": "", "big": "x" * 3 * MIB}.items():
        (tmp_path / "app").mkdir(exist_ok=True)
        (tmp_path / "app" / name).write_text(content, encoding="utf-8")
    wish = Wish(directory=str(tmp_path / "app"), variables={})
    server = Server(
        state=State(tmp_path / "state"), engine=ProcessEngine(tmp_path / "process"), traffic=NoTraffic(),
        seal=bytes, unseal=bytes, who="tests", machine="test",
    )  # fmt: skip
    needs = disk_needs(server, read_intent(wish, read_app(wish)), Observed(instance="app"))
    assert {one.name: one.size // MIB for one in needs} == {"app/web": 3, "app/worker": 0, "app/other": 3}


SHARED = """
services:
  web: {build: .}
  worker: {build: ., command: work}
  other: {build: {context: ., target: other}}
"""
