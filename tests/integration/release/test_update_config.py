"""`deploy.update_config` on a real engine: batches and their delay, the watch after the proof, the order."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest
from shop import Shop
from wreck import close, open_shop, versions

pytestmark = pytest.mark.docker


@dataclass(frozen=True)
class Step:
    """A step of the newest release as the journal has it."""

    text: str
    began: float
    ended: float


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = open_shop("docker", tmp_path_factory.mktemp("update"))
    shop.deploy()
    yield shop
    close(shop)


def test_replicas_start_in_batches_and_the_next_waits_for_the_delay(standing: Shop) -> None:
    _write(standing, "2", api="deploy: {replicas: 3, update_config: {parallelism: 2, delay: 2s}}")
    with standing.visitors() as tally:
        standing.deploy()
    started = sorted(_steps(standing, "start api."), key=lambda step: step.began)
    awaited = {step.text.split()[1]: step for step in _steps(standing, "await api.")}
    first = [awaited[step.text.split()[1].rstrip(":")] for step in started[:2]]
    assert len(started) == 3
    assert started[2].began >= max(step.ended for step in first)
    assert all(step.ended - step.began >= 2.0 for step in first), "the delay is part of the wait"
    assert tally.failed == 0, tally.examples


def test_a_replica_that_ends_while_it_is_watched_is_refused(standing: Shop) -> None:
    before = versions(standing)
    dying = 'command: ["sh", "-c", "python /app/app.py & sleep 4; exit 3"]'
    _write(standing, "3", web=f"deploy: {{update_config: {{monitor: 30s}}}}\n    {dying}")
    with standing.visitors() as tally:
        refused = standing.deploy(check=False)
    assert refused.returncode == 1
    assert "exited with code 3" in refused.stderr
    assert versions(standing) == before
    assert tally.failed == 0, tally.examples


def test_the_order_is_the_files_word_and_visitors_wait(standing: Shop) -> None:
    _write(standing, "4", web="deploy: {update_config: {order: stop-first}}")
    with standing.visitors() as tally:
        told = standing.deploy().stdout
    [stopped], [started] = _steps(standing, "stop web."), _steps(standing, "start web.")
    assert stopped.ended <= started.began
    assert "web is stop-first, its update_config says so" in " ".join(told.split())
    assert tally.failed == 0, tally.examples
    assert versions(standing)[0] == "4"


def _write(shop: Shop, version: str, **extra: str) -> None:
    """That version of `web` and `api`, each with more lines of its own."""
    shop.write(web=version, api=version)
    path = shop.directory / "compose.yaml"
    text = path.read_text()
    for service, lines in extra.items():
        text = text.replace(f"  {service}:\n    <<: *common\n", f"  {service}:\n    <<: *common\n    {lines}\n")
    path.write_text(text)


def _steps(shop: Shop, text: str) -> list[Step]:
    query = (
        "SELECT text, started_at, ended_at FROM journal WHERE instance = ?1 AND text LIKE ?2 || '%' AND release ="
        " (SELECT max(number) FROM releases WHERE instance = ?1) ORDER BY number"
    )
    with closing(sqlite3.connect(shop.directory / "state/havre.db")) as sql:
        return [Step(*row) for row in sql.execute(query, (shop.name, text))]
