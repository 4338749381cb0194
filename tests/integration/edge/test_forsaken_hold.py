"""A hold of what runs (callers of a database that is replaced) ends by itself, should Havre be killed meanwhile."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from havre.host import background
from havre.model.route import AppEdge, InsideListener, Route, TcpPort

pytestmark = pytest.mark.process
WEB = ("web", 3000)
HOLD = 4.0
BODY = b"x" * 200_000
Told: TypeAlias = tuple[int, str]
"""Status, and the replica that answered."""
SERVED = (200, "web.1")


@dataclass(frozen=True)
class Held:
    """A service with every kind of entrance, whose requests wait since `began`, and nobody who will end that."""

    world: Any
    app: AppEdge
    entrances: tuple[int, ...]
    began: float
    visitors: ThreadPoolExecutor
    cookie: str
    first: Any

    def ask_everywhere(self) -> list[Future[Told]]:
        asked = [(port, method) for port in self.entrances for method in ("GET", "POST")]
        return [self.visitors.submit(self._ask, *one) for one in asked]

    def _ask(self, port: int, method: str) -> Told:
        headers = {"Host": "shop.example", **({"Cookie": self.cookie} if self.cookie else {})}
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            connection.request(method, "/x", body=BODY if method == "POST" else None, headers=headers)
            answer = connection.getresponse()
            told = answer.read()
        return answer.status, json.loads(told)["replica"] if answer.status == 200 else ""


@contextmanager
def held(world: Any, unused_port: Callable[[], int], *, sticky: bool = False) -> Iterator[Held]:
    """Such a service."""
    first, tcp, inside = world.replica("web.1"), unused_port(), unused_port()
    app = world.app(
        Route(host="shop.example", service="web", port=3000, sticky=sticky),
        tcp_ports=(TcpPort(address="127.0.0.1", port=tcp, service="web", target=3000),),
        inside=(InsideListener(address="127.0.0.1", port=inside, service="web", target=3000),),
        upstreams=((WEB, (first.upstream,)),),
        hold_limit=HOLD,
    )
    world.edge.apply(app)
    cookie = world.ask().headers.get("set-cookie", "").split(";")[0]
    assert bool(cookie) == sticky
    began = time.time()
    world.edge.hold("shop", *WEB, until=began + HOLD)
    with ThreadPoolExecutor(16) as visitors:
        yield Held(world, app, (world.port, tcp, inside), began, visitors, cookie, first)


def reload(world: Any) -> None:
    """Another app's release changes the structure."""
    other = Route(host="other.example", service="web", port=3000, compress=True)
    assert world.edge.apply(AppEdge(instance="other", routes=(other,))).reloaded


def is_led_on(at: Held, waiting: list[Future[Told]]) -> None:
    """What waits gets its answer at the end of the hold, and what comes after it at once."""
    assert not any(one.done() for one in waiting)
    assert {one.result() for one in waiting} == {SERVED}
    assert HOLD - 1.5 < time.time() - at.began < HOLD + 1.5
    began = time.time()
    assert {one.result() for one in at.ask_everywhere()} == {SERVED}
    assert time.time() - began < 0.7, "nobody waits any more"


@pytest.mark.parametrize("sticky", [False, True])
def test_what_waits_is_led_on_when_the_hold_ends_at_every_entrance(
    world: Any, unused_port: Callable[[], int], sticky: bool
) -> None:
    with held(world, unused_port, sticky=sticky) as at:
        waiting = at.ask_everywhere()
        time.sleep(0.3)
        is_led_on(at, waiting)
        world.edge.apply(at.app)
        assert world.edge.runtime.map_entries(world.edge.layout.held) == {}
        assert {one.result() for one in at.ask_everywhere()} == {SERVED}


def test_whoever_comes_after_the_end_is_led_on_though_nobody_waited(world: Any, unused_port: Callable[[], int]) -> None:
    with held(world, unused_port) as at:
        time.sleep(HOLD + 0.1)
        began = time.time()
        assert {one.result() for one in at.ask_everywhere()} == {SERVED}
        assert time.time() - began < 0.7


@pytest.mark.parametrize("sticky", [False, True])
def test_a_reload_during_the_hold_changes_nothing(world: Any, unused_port: Callable[[], int], sticky: bool) -> None:
    with held(world, unused_port, sticky=sticky) as at:
        waiting = at.ask_everywhere()
        time.sleep(0.3)
        reload(world)
        is_led_on(at, [*waiting, *at.ask_everywhere()])
        world.edge.apply(at.app)
        assert {one.result() for one in at.ask_everywhere()} == {SERVED}


def test_an_edge_that_is_killed_during_the_hold_comes_back_and_leads_on(
    world: Any, unused_port: Callable[[], int]
) -> None:
    with held(world, unused_port) as at:
        master = int(world.edge.layout.pid.read_text())
        workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        os.kill(master, signal.SIGKILL)
        while any(background.is_alive(int(pid)) for pid in workers):
            time.sleep(0.02)
        world.edge.ensure_running()
        is_led_on(at, at.ask_everywhere())


def test_what_was_led_on_can_be_held_again(world: Any, unused_port: Callable[[], int]) -> None:
    """As by the next command, which begins where the killed one was."""
    with held(world, unused_port) as at:
        time.sleep(HOLD + 0.1)
        assert {one.result() for one in at.ask_everywhere()} == {SERVED}
        world.edge.hold("shop", *WEB, until=time.time() + 60.0)
        waiting = at.ask_everywhere()
        time.sleep(1.0)
        assert not any(one.done() for one in waiting)
        world.edge.apply(at.app)
        assert {one.result() for one in waiting} == {SERVED}


def test_a_hold_that_is_ended_before_leads_on_at_once(world: Any, unused_port: Callable[[], int]) -> None:
    with held(world, unused_port) as at:
        waiting = at.ask_everywhere()
        time.sleep(0.3)
        world.edge.apply(at.app)
        assert {one.result() for one in waiting} == {SERVED}
        assert time.time() - at.began < HOLD / 2
        time.sleep(HOLD)
        world.edge.hold("shop", *WEB)
        waiting = at.ask_everywhere()
        assert {one.exception() or one.result()[0] for one in waiting[:2]} == {503}


def test_an_old_worker_opens_nothing_for_what_it_knows_may_be_stopped(
    world: Any, unused_port: Callable[[], int]
) -> None:
    with held(world, unused_port) as at, closing(http.client.HTTPConnection("127.0.0.1", world.port)) as visitor:
        visitor.request("GET", "/x", headers={"Host": "other.example"})
        assert visitor.getresponse().read(), "a connection of the worker that becomes the old one"
        reload(world)
        world.edge.switch("shop", {WEB: [world.replica("web.2", "127.0.0.3").upstream]})
        at.first.stop()
        world.edge.forget("shop", "web.1")
        time.sleep(at.began + HOLD - time.time() + 0.1)
        visitor.request("GET", "/x", headers={"Host": "shop.example"})
        answer = visitor.getresponse()
        assert answer.status == 200
        assert json.loads(answer.read())["replica"] == "web.2"
