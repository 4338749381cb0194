"""What checks are told of an app that only the shell can know."""

from __future__ import annotations

from pathlib import Path

from data_stand import NoTraffic

from havre.engines.process.engine import ProcessEngine
from havre.model.observed import Observed
from havre.store.state import State
from havre.workflows.check import gather
from havre.workflows.intent import Wish, read_app, read_intent
from havre.workflows.server import Server

MANIFEST = """
app: shop
backups:
  db: {schedule: 0 2 * * 1-5, rpo: 24h}
  kv: {schedule: 0 2 * * *}
"""


def test_how_long_a_schedule_leaves_is_known_where_a_promise_is_made(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {db: {image: 'postgres:16'}, kv: {image: 'redis:7'}}")
    (tmp_path / "havre.yaml").write_text(MANIFEST)
    wish = Wish(directory=str(tmp_path), manifest=str(tmp_path / "havre.yaml"), variables={})
    server = Server(
        state=State(tmp_path / "state"), engine=ProcessEngine(tmp_path / "process"), traffic=NoTraffic(),
        seal=bytes, unseal=bytes, who="tests", machine="test",
    )  # fmt: skip
    case = gather(server, read_intent(wish, read_app(wish)), Observed(instance="shop"))
    assert case.between_backups == (("db", 3 * 86400.0),)
