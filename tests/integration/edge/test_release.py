"""Moving traffic between replicas: nothing may fail, whatever is asked meanwhile."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from havre.errors import FailedError, RefusedError
from havre.model.route import AppEdge, InsideListener, Route, TcpPort
from strict_client import Client, Load

pytestmark = pytest.mark.process
WEB = ("web", 3000)
SHOP = Route(host="shop.example", service="web", port=3000)
Told: TypeAlias = tuple[int, str]
"""Status, and the replica and path that it tells."""


def drained(edge: Any, limit: float = 5.0) -> dict[str, int]:
    """Wait until nothing is open on draining replicas."""
    deadline = time.monotonic() + limit
    while any(edge.draining("shop").values()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return dict(edge.draining("shop"))


def test_twenty_releases_under_load_fail_nothing(world: Any) -> None:
    current = world.replica("web.0")
    world.edge.apply(world.app(SHOP, upstreams=((WEB, (current.upstream,)),)))
    client = Client(
        Load(url=f"http://127.0.0.1:{world.port}/", connections=32, seconds=60, hosts=("shop.example",))
    ).start()
    for number in range(1, 21):
        successor = world.replica(f"web.{number}", f"127.0.0.{2 + number % 2}")
        world.edge.switch("shop", {WEB: [successor.upstream]})
        assert drained(world.edge) == {current.name: 0}
        world.edge.forget("shop", current.name)
        current.stop()
        current = successor
    tally = client.stop()
    assert tally.failed == 0, tally.summary()
    assert tally.requests > 500
    assert world.ask().told["replica"] == "web.20"


def test_requests_wait_while_a_stop_first_service_is_replaced(world: Any) -> None:
    old = world.replica("web.1")
    world.edge.apply(world.app(SHOP, upstreams=((WEB, (old.upstream,)),)))
    load = Load(url=f"http://127.0.0.1:{world.port}/", connections=16, seconds=60, hosts=("shop.example",))
    client = Client(load).start()
    time.sleep(0.3)
    world.edge.hold("shop", *WEB)
    assert drained(world.edge) == {"web.1": 0}
    old.stop()
    time.sleep(1.5)
    new = world.replica("web.2", "127.0.0.3")
    world.edge.switch("shop", {WEB: [new.upstream]})
    time.sleep(1.0)
    tally = client.stop()
    assert tally.failed == 0, tally.summary()
    assert tally.slowest > 1.4, "some request must have waited"


def test_a_hold_ends_after_its_limit(world: Any) -> None:
    old = world.replica("web.1")
    world.edge.apply(world.app(SHOP, upstreams=((WEB, (old.upstream,)),), hold_limit=1.0))
    world.edge.hold("shop", *WEB)
    began = time.monotonic()
    assert world.ask().status == 503
    assert 0.8 < time.monotonic() - began < 3


def test_a_hold_with_an_end_outlives_a_reload_and_is_ended_before(world: Any) -> None:
    running = world.replica("web.1")
    app = world.app(SHOP, upstreams=((WEB, (running.upstream,)),), hold_limit=15.0)
    world.edge.apply(app)
    world.edge.hold("shop", *WEB, until=time.time() + 15.0)
    with ThreadPoolExecutor() as waiting:
        asked = [waiting.submit(world.ask, method=method) for method in ("GET", "POST")]
        time.sleep(0.3)
        other = Route(host="other.example", service="web", port=3000, compress=True)
        assert world.edge.apply(AppEdge(instance="other", routes=(other,))).reloaded
        time.sleep(0.5)
        assert not any(one.done() for one in asked)
        world.edge.apply(app)
        assert [one.result().status for one in asked] == [200, 200]
    assert running.asked == 2


def _held_entrances(
    world: Any, unused_port: Callable[[], int]
) -> tuple[AppEdge, Callable[[ThreadPoolExecutor], list[Future[Told]]]]:
    """An app with every kind of entrance to one service, and a way to ask at all of them at once."""
    tcp, inside = unused_port(), unused_port()
    published = TcpPort(address="127.0.0.1", port=tcp, service="web", target=3000)
    listener = InsideListener(address="127.0.0.1", port=inside, service="web", target=3000)
    stripped = Route(host="shop.example", path="/api", service="web", port=3000, strip_prefix=True)
    app = world.app(SHOP, stripped, tcp_ports=(published,), inside=(listener,))

    def ask(port: int, path: str, method: str, body: bytes | None) -> Told:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            connection.request(method, path, body=body, headers={"Host": "shop.example"})
            answer = connection.getresponse()
            told = answer.read()
        return answer.status, json.loads(told)["replica"] + json.loads(told)["target"] if answer.status == 200 else ""

    def ask_all(waiting: ThreadPoolExecutor) -> list[Future[Told]]:
        asked = [(port, method) for port in (world.port, tcp, inside) for method in ("GET", "POST")]
        bodies = {"GET": None, "POST": b"x" * 200_000}
        return [waiting.submit(ask, port, "/api/x", method, bodies[method]) for port, method in asked]

    return app, ask_all


@contextmanager
def _all_held(world: Any, unused_port: Callable[[], int]) -> Iterator[tuple[AppEdge, Any, list[Future[Told]]]]:
    """That app, its one replica, and a request at every entrance, all of which wait."""
    app, ask_all = _held_entrances(world, unused_port)
    old = world.replica("web.1")
    world.edge.apply(replace(app, upstreams=((WEB, (old.upstream,)),)))
    with ThreadPoolExecutor() as waiting:
        world.edge.hold("shop", *WEB)
        asked = ask_all(waiting)
        time.sleep(0.3)
        yield app, old, asked


ALL_SERVED = [(200, "web.2/x")] * 2 + [(200, "web.2/api/x")] * 4


@pytest.mark.parametrize("reloads", [1, 2])
def test_what_is_held_outlives_reloads_and_is_served_in_the_end(
    world: Any, unused_port: Callable[[], int], reloads: int
) -> None:
    with _all_held(world, unused_port) as (_, old, asked):
        for number in range(reloads):
            other = Route(host=f"other{number}.example", service="web", port=3000, compress=True)
            assert world.edge.apply(AppEdge(instance=f"other{number}", routes=(other,))).reloaded
            time.sleep(0.4)
        assert not any(one.done() for one in asked)
        new = world.replica("web.2", "127.0.0.3")
        world.edge.switch("shop", {WEB: [new.upstream]})
        assert [one.result() for one in asked] == ALL_SERVED
    assert old.asked == 0


@pytest.mark.parametrize("ending", ["apply", "switch"])
def test_a_hold_that_ends_with_a_reload_serves_what_waited(
    world: Any, unused_port: Callable[[], int], ending: str
) -> None:
    with _all_held(world, unused_port) as (app, _, asked):
        new = world.replica("web.2", "127.0.0.3")
        more_than_there_are_slots = [replace(new.upstream, name=f"web.{number}") for number in range(2, 9)]
        before = world.edge.runtime.generation()
        if ending == "switch":
            world.edge.switch("shop", {WEB: more_than_there_are_slots})
        else:
            world.edge.apply(replace(app, upstreams=((WEB, tuple(more_than_there_are_slots)),)))
        assert world.edge.runtime.generation() != before
        assert [one.result() for one in asked] == ALL_SERVED


def test_a_replica_that_is_away_for_a_moment_is_waited_for(world: Any) -> None:
    """As while an engine begins anew, or starts a replica again; the edge looks itself every 2 s."""
    replica = world.replica("web.1")
    world.edge.apply(world.app(SHOP, upstreams=((WEB, (replica.upstream,)),)))
    assert world.ask().status == 200
    replica.stop()
    with ThreadPoolExecutor() as waiting:
        asked = [waiting.submit(world.ask, method=method) for method in ("GET", "POST")]
        time.sleep(1.2)
        assert not any(one.done() for one in asked)
        world.replica("web.1", port=replica.upstream.port)
        assert [one.result().status for one in asked] == [200, 200]


def test_a_post_that_kills_its_replica_is_not_given_to_another(world: Any) -> None:
    replicas = [world.replica(f"web.{number}") for number in range(3)]
    world.edge.apply(world.app(SHOP, upstreams=((WEB, tuple(one.upstream for one in replicas)),)))
    assert world.ask("/?die=1", method="POST", body=b"x").status == 502
    assert sum(one.asked for one in replicas) == 1
    assert world.ask().status == 200


def test_a_replica_that_is_gone_costs_its_visitors_nothing(world: Any) -> None:
    kept, gone = world.replica("web.1"), world.replica("web.2", "127.0.0.3")
    world.edge.apply(world.app(SHOP, upstreams=((WEB, (kept.upstream, gone.upstream)),)))
    gone.stop()
    assert {world.ask(method=method).told["replica"] for method in ("GET", "POST") * 4} == {"web.1"}


def test_a_websocket_stays_open_across_a_release(world: Any) -> None:
    old, new = world.replica("web.1"), world.replica("web.2", "127.0.0.3")
    world.edge.apply(world.app(SHOP, upstreams=((WEB, (old.upstream,)),)))
    with _websocket(world.port) as visitor:
        world.edge.switch("shop", {WEB: [new.upstream]})
        assert world.ask().told["replica"] == "web.2"
        assert world.edge.draining("shop") == {"web.1": 1}
        visitor.sendall(b"still there")
        assert visitor.recv(4096) == b"web.1:still there"
    assert drained(world.edge) == {"web.1": 0}


def test_a_websocket_from_before_a_reload_is_counted_while_its_replica_drains(world: Any) -> None:
    old, new = world.replica("web.1"), world.replica("web.2", "127.0.0.3")
    world.edge.apply(world.app(SHOP, upstreams=((WEB, (old.upstream,)),)))
    with _websocket(world.port) as visitor:
        reshaped = Route(host="shop.example", path="/x", service="web", port=3000, strip_prefix=True)
        assert world.edge.apply(world.app(SHOP, reshaped, upstreams=((WEB, (old.upstream,)),))).reloaded
        world.edge.switch("shop", {WEB: [new.upstream]})
        assert world.edge.draining("shop") == {"web.1": 1}
        assert not world.edge.await_old_workers(0.2)
        visitor.sendall(b"still there")
        assert visitor.recv(4096) == b"web.1:still there"
    assert world.edge.await_old_workers(20)
    assert drained(world.edge) == {"web.1": 0}


def _websocket(port: int) -> socket.socket:
    visitor = socket.create_connection(("127.0.0.1", port), timeout=5)
    visitor.sendall(
        b"GET /live HTTP/1.1\r\nHost: shop.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert b"101" in visitor.recv(4096)
    return visitor


def test_all_services_move_in_one_switch(world: Any) -> None:
    api = Route(host="shop.example", path="/api", service="api", port=8000)
    first = [world.replica(name) for name in ("web.1", "api.1")]
    second = [world.replica(name, "127.0.0.3") for name in ("web.2", "api.2")]
    endpoints = (WEB, ("api", 8000))
    upstreams = tuple((endpoint, (one.upstream,)) for endpoint, one in zip(endpoints, first, strict=True))
    world.edge.apply(world.app(SHOP, api, upstreams=upstreams))
    world.edge.switch("shop", {e: [r.upstream] for e, r in zip(endpoints, second, strict=True)})
    assert [world.ask(path).told["replica"] for path in ("/", "/api/x")] == ["web.2", "api.2"]
    assert set(world.edge.draining("shop")) == {"web.1", "api.1"}


def test_sticky_visitors_leave_a_draining_replica(world: Any) -> None:
    sticky = Route(host="shop.example", service="web", port=3000, sticky=True)
    old, new = world.replica("web.1"), world.replica("web.2", "127.0.0.3")
    world.edge.apply(world.app(sticky, upstreams=((WEB, (old.upstream,)),)))
    cookie = world.ask().headers["set-cookie"].split(";")[0]
    both = [old.upstream, new.upstream]
    world.edge.switch("shop", {WEB: both})
    assert {world.ask(headers={"Cookie": cookie}).told["replica"] for _ in range(6)} == {"web.1"}
    world.edge.switch("shop", {WEB: [new.upstream]})
    assert world.ask(headers={"Cookie": cookie}).told["replica"] == "web.2"


def test_many_replicas_grow_the_slots_without_a_failure(world: Any) -> None:
    first = world.replica("web.0")
    world.edge.apply(world.app(SHOP, upstreams=((WEB, (first.upstream,)),)))
    more = [world.replica(f"web.{number}") for number in range(1, 8)]
    world.edge.switch("shop", {WEB: [one.upstream for one in more]})
    assert world.edge.await_old_workers(20)
    assert {world.ask().told["replica"] for _ in range(40)} == {one.name for one in more}


def test_a_switch_of_an_unknown_app_is_refused(world: Any) -> None:
    with pytest.raises(RefusedError, match="knows no app `nobody`"):
        world.edge.switch("nobody", {})


def test_two_switches_at_once_leave_one_clear_result(world: Any) -> None:
    replicas = [world.replica(f"web.{number}") for number in range(3)]
    world.edge.apply(world.app(SHOP, upstreams=((WEB, (replicas[0].upstream,)),)))
    errors: list[Exception] = []

    def switch(number: int) -> None:
        try:
            world.edge.switch("shop", {WEB: [replicas[number].upstream]})
        except FailedError as error:
            errors.append(error)

    threads = [threading.Thread(target=switch, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    applied = world.edge.read("shop")
    assert errors == []
    assert isinstance(applied, AppEdge)
    (winner,) = applied.replicas(WEB)
    assert {world.ask().told["replica"] for _ in range(5)} == {winner.name}
