"""What is held for a stop-first service at a real edge, and for how long; what is waited for before, and not then."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from memory_world import project, rolling, stateful

from havre.model.plan import Drain, Hold
from havre.model.route import AppEdge, Endpoint, Route
from havre.workflows.execute import Cancellation
from havre.workflows.holding import callers_of, doors_closed, requests_held
from havre.workflows.leading import Leading

pytestmark = pytest.mark.process
API, DB = ("api", 8000), ("db", 5432)
SHOP = Route(host="shop.example", service="api", port=8000)
ADMIN = Route(host="shop.example", path="/db", service="db", port=5432)
PATIENCE = 1.5
HANDSHAKE = (
    b"GET /live HTTP/1.1\r\nHost: shop.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
def served(world: Any) -> AppEdge:
    """An API and a database behind the edge; requests wait four seconds at most."""
    pairs = [(API, world.replica("api.1")), (DB, world.replica("db.1", "127.0.0.3"))]
    upstreams = tuple((endpoint, (one.upstream,)) for endpoint, one in pairs)
    app: AppEdge = world.app(SHOP, ADMIN, upstreams=upstreams, hold_limit=4.0)
    world.edge.apply(app)
    return app


@contextmanager
def leading(world: Any, served: AppEdge, since: dict[Endpoint, float] | None = None) -> Iterator[Leading]:
    cancellation = Cancellation()
    try:
        yield Leading(
            traffic=world.edge, instance="shop", before=served, cancellation=cancellation, patience=PATIENCE,
            since={} if since is None else since,
        )  # fmt: skip
    finally:
        cancellation.end()


def test_workers_that_nobody_can_tell_to_hold_are_waited_for_before_anybody_waits(world: Any, served: AppEdge) -> None:
    """A websocket keeps an old worker for minutes: waiting for it while requests are held would use up their time."""
    with socket.create_connection(("127.0.0.1", world.port), timeout=5) as visitor, leading(world, served) as edge:
        visitor.sendall(HANDSHAKE)
        assert b"101" in visitor.recv(4096)
        other = Route(host="other.example", service="web", port=3000, compress=True)
        assert world.edge.apply(AppEdge(instance="other", routes=(other,))).reloaded
        began = time.monotonic()
        edge.hold(Hold(service="db", limit=4.0))
        assert time.monotonic() - began > PATIENCE
        began = time.monotonic()
        edge.drain(Drain(service="db", slot=1))
        edge.hold(Hold(service="db", callers=("api",), limit=4.0))
        assert time.monotonic() - began < PATIENCE + 2.0, "the websocket to the API gets its two seconds"


def test_who_waits_since_before_a_release_failed_is_let_through_in_time(world: Any, served: AppEdge) -> None:
    since: dict[Endpoint, float] = {}
    with ThreadPoolExecutor() as visitors:
        with leading(world, served, since) as release:
            release.hold(Hold(service="db", callers=("api",), limit=4.0))
            began = time.monotonic()
            first = visitors.submit(world.ask, method="POST", body=b"x")
            time.sleep(2.0)
        with leading(world, served, since) as undoing:
            undoing.hold(Hold(service="db", callers=("api",), limit=4.0))
            assert first.result().status == 200
            assert 1.9 < time.monotonic() - began < 4.0
            assert world.edge.read("shop") == served, "by Havre, a moment before the edge would do it itself"


def test_while_a_database_stands_still_outside_a_release_what_calls_it_waits_and_no_longer_than_the_limit(
    world: Any, served: AppEdge
) -> None:
    app = project(rolling("api", "", "db"), stateful("db"))
    assert callers_of(served, app, ["db"]) == ("api",)
    with ThreadPoolExecutor() as visitors:
        with doors_closed(world.edge, served, ["db"], ["api"]):
            began = time.monotonic()
            api, db = (visitors.submit(world.ask, path) for path in ("/", "/db"))
            time.sleep(1.0)
            assert not api.done()
            assert api.result().told["replica"] == "api.1"
            assert time.monotonic() - began < 4.0
            assert not db.done()
        assert db.result().told["replica"] == "db.1"
    assert world.edge.read("shop") == served


@dataclass(frozen=True)
class _Failing:
    """An edge that breaks down while it closes the second door."""

    edge: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.edge, name)

    def hold(self, instance: str, service: str, port: int, *, until: float | None = None) -> None:
        if service == "db":
            raise KeyboardInterrupt
        self.edge.hold(instance, service, port, until=until)


@pytest.mark.parametrize("how", [requests_held, "doors"])
def test_a_hold_that_is_cut_short_while_it_begins_holds_nobody(world: Any, served: AppEdge, how: Any) -> None:
    edge = _Failing(world.edge)
    held = doors_closed(edge, served, ["api", "db"], []) if how == "doors" else requests_held(edge, "shop")
    with pytest.raises(KeyboardInterrupt), held:
        raise AssertionError
    assert world.edge.read("shop") == served
