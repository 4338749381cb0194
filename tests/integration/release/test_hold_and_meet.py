"""A release that holds one service while it meets another for the first time: neither loses a request."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from shop import Shop
from wreck import book

NEW_SERVICE = """\
  stock:
    <<: *common
    environment: {ROLE: api, VERSION: "1", PASSWORD: "x"}
    expose: ["8000"]
"""


@pytest.mark.parametrize("shop", ["docker", "process"], indirect=True)
def test_requests_wait_for_a_held_service_while_a_new_one_is_met(shop: Shop) -> None:
    shop.deploy()
    shop.write(db="2")
    path = shop.directory / "compose.yaml"
    text = path.read_text().replace("volumes:\n  data:", f"{NEW_SERVICE}volumes:\n  data:")
    slow = '    command: ["sh", "-c", "sleep 4; exec python /app/app.py"]\n    environment: {ROLE: db'
    text = text.replace("    environment: {ROLE: db", slow)
    text = text.replace("depends_on: {api: {condition: service_healthy}}", "depends_on: [api, stock]")
    path.write_text(text)
    with _asking_the_database(shop) as waits:
        told = shop.deploy().stdout
    assert _ended_before(told, "await stock", "await db")
    assert all(status == 200 for status, _ in waits), waits
    assert max(wait for _, wait in waits) > 2.0, "nobody had to wait: nothing was held"
    assert [row["state"] for row in book(shop)][:2] == ["serving", "superseded"]


@contextmanager
def _asking_the_database(shop: Shop) -> Iterator[list[tuple[object, float]]]:
    """(status or error, seconds) of requests to the published port, one after the other, while the block lasts."""
    found: list[tuple[object, float]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.05):
            began = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", shop.db_port, timeout=30)
            try:
                connection.request("GET", "/")
                status: object = connection.getresponse().status
            except (OSError, http.client.HTTPException) as error:
                status = repr(error)
            connection.close()
            found.append((status, time.monotonic() - began))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def _ended_before(told: str, first: str, second: str) -> bool:
    """By the lines that a deploy prints when a step is done."""
    lines = told.splitlines()
    ends = {what: next(n for n, line in enumerate(lines) if what in line and "✓" in line) for what in (first, second)}
    return ends[first] < ends[second]
