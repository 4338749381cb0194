"""One app's mistake, a crash, a killed command: the others never notice, and the edge comes back as it was."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from havre.edge import servers
from havre.edge.disk import Disk
from havre.edge.haproxy import Edge
from havre.edge.runner import ProcessRunner
from havre.edge.state import load_pool, save_pool
from havre.errors import FailedError, RefusedError
from havre.host import background
from havre.model.route import AppEdge, EdgeSettings, InsideListener, Route, TcpPort, Upstream
from strict_client import Client, Load

pytestmark = pytest.mark.process
WEB = ("web", 3000)


def app(instance: str, upstream: Upstream, **more: Any) -> AppEdge:
    route = Route(host=f"{instance}.example", service="web", port=3000, **more.pop("route", {}))
    return AppEdge(instance=instance, routes=(route,), upstreams=((WEB, (upstream,)),), **more)


def listed(world: Any) -> dict[str, str]:
    """Every file that HAProxy reads, by name; equal before and after means: nothing was changed."""
    paths = [*world.edge.layout.configuration.iterdir(), world.edge.layout.routes, world.edge.layout.redirects]
    return {path.name: path.read_text() for path in paths}


@pytest.mark.parametrize(
    ("route", "complaint"),
    [
        ({"path": "/a b"}, "is not a path prefix"),
        ({"headers": (("X-A", "one\r\nX-Evil: two"),)}, "malformed"),
        ({"allow": ("300.1.1.1",)}, "is no address"),
        ({"basic_auth": (("ann", "plain"),)}, "not a crypt hash"),
    ],
)
def test_a_bad_route_is_refused_and_touches_nothing(world: Any, route: dict[str, Any], complaint: str) -> None:
    good = world.replica("web.1").upstream
    world.edge.apply(app("one", good))
    before = listed(world)
    with pytest.raises(RefusedError, match=complaint):
        world.edge.apply(app("two", good, route=route))
    assert listed(world) == before
    assert world.ask(host="one.example").status == 200


def test_what_only_haproxy_can_refuse_is_refused_before_it_is_joined(world: Any) -> None:
    good = world.replica("web.1").upstream
    world.edge.apply(app("one", good))
    before = listed(world)
    with pytest.raises(RefusedError, match="HAProxy refuses the configuration of `two`"):
        world.edge.apply(app("two", good, route={"balance": "sometimes"}))
    assert listed(world) == before
    assert world.ask(host="one.example").status == 200


def test_a_host_belongs_to_one_app(world: Any) -> None:
    good = world.replica("web.1").upstream
    world.edge.apply(app("one", good))
    thief = AppEdge(instance="two", routes=(Route(host="one.example", service="web", port=3000),))
    with pytest.raises(RefusedError, match=r"one\.example/ is already served by the app `one`"):
        world.edge.apply(thief)


def test_a_published_port_moves_connections_and_never_fights(world: Any, unused_port: Callable[[], int]) -> None:
    old, new = world.replica("db.1"), world.replica("db.2", "127.0.0.3")
    port = TcpPort(address="127.0.0.1", port=unused_port(), service="db", target=5432)
    one = AppEdge(instance="one", tcp_ports=(port,), upstreams=((("db", 5432), (old.upstream,)),))
    world.edge.apply(one)
    assert _through(port.port) == "db.1"
    world.edge.switch("one", {("db", 5432): [new.upstream]})
    assert _through(port.port) == "db.2"
    with pytest.raises(RefusedError, match="another program"):
        world.edge.apply(AppEdge(instance="two", tcp_ports=(port,)))
    assert _through(port.port) == "db.2"
    world.edge.remove("one")
    assert world.edge.await_old_workers(20)
    with pytest.raises(ConnectionRefusedError):
        _through(port.port)


def test_inside_calls_move_with_a_release(world: Any, unused_port: Callable[[], int]) -> None:
    old, new = world.replica("web.1"), world.replica("web.2", "127.0.0.3")
    listener = InsideListener(address="127.0.3.1", port=unused_port(), service="web", target=3000)
    world.edge.apply(app("one", old.upstream, inside=(listener,)))
    load = Load(url=f"http://127.0.3.1:{listener.port}/", connections=8, seconds=30)
    client = Client(load).start()
    time.sleep(0.3)
    world.edge.switch("one", {WEB: [new.upstream]})
    while any(world.edge.draining("one").values()):
        time.sleep(0.02)
    old.stop()
    time.sleep(0.3)
    tally = client.stop()
    assert tally.failed == 0, tally.summary()
    assert new.asked > 10


def test_an_address_that_cannot_be_had_at_the_reload_leaves_everything_as_it_was(
    world: Any, unused_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = world.replica("web.1").upstream
    world.edge.apply(app("one", good))
    before = listed(world)
    number = unused_port()
    monkeypatch.setattr("havre.edge.haproxy.taken_addresses", lambda *_, **__: ())
    monkeypatch.setattr("havre.edge.haproxy._START_LIMIT", 3.0)
    with socket.create_server(("127.0.0.1", number)):
        port = TcpPort(address="127.0.0.1", port=number, service="web", target=3000)
        with pytest.raises(FailedError, match="did not take its new configuration"):
            world.edge.apply(app("two", good, tcp_ports=(port,)))
    assert world.ask(host="one.example").status == 200
    after = listed(world)
    assert {name: text for name, text in after.items() if name != "00-edge.cfg"} == {
        name: text for name, text in before.items() if name != "00-edge.cfg"
    }
    assert world.edge.read("two") is None
    world.edge.apply(app("three", good))
    assert world.ask(host="three.example").status == 200


def test_an_edge_whose_port_is_taken_says_so_and_leaves_no_process(home: Path, unused_port: Callable[[], int]) -> None:
    number = unused_port()
    edge = Edge(home, ProcessRunner(), EdgeSettings(addresses=("127.0.0.1",), http_port=number, https_port=None))
    with socket.create_server(("127.0.0.1", number)), pytest.raises(FailedError) as told:
        edge.ensure_running()
    assert f"[127.0.0.1:{number}]" in str(told.value)
    assert "nothing is served until it starts" in str(told.value)
    assert not edge.is_running()
    edge.ensure_running()
    assert edge.is_running()
    edge.stop()


def test_an_edge_that_cannot_start_is_held_against_its_own_check(world: Any) -> None:
    world.edge.apply(app("shop", world.replica("web.1").upstream))
    world.edge.stop()
    damaged = world.edge.layout.app_configuration("shop")
    damaged.write_text(f"{damaged.read_text()}\n  no such thing\n")
    why = world.edge.why_down()
    assert why is not None
    assert why.evidence[0].startswith("configuration: ")
    assert "app-shop.cfg" in why.evidence[0]
    world.edge.restore()
    assert world.ask().status == 200


@pytest.mark.parametrize("asks_havre", [True, False])
@pytest.mark.parametrize("whom", ["master", "worker"])
def test_a_killed_edge_comes_back_with_the_same_routes(world: Any, whom: str, asks_havre: bool) -> None:
    first, second = world.replica("web.1"), world.replica("web.2", "127.0.0.3")
    world.edge.apply(app("one", first.upstream))
    world.edge.apply(app("two", second.upstream, route={"path": "/x", "strip_prefix": True}))
    world.edge.switch("one", {WEB: [second.upstream]})
    assert world.edge.await_old_workers(20)
    before = listed(world)
    master = int(world.edge.layout.pid.read_text())
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    os.kill(master if whom == "master" else int(children[0]), signal.SIGKILL)
    deadline = time.monotonic() + 3
    while any(background.is_alive(int(pid)) for pid in children):
        assert time.monotonic() < deadline, "the worker outlived its master"
        time.sleep(0.02)
    if asks_havre:
        world.edge.ensure_running()
    else:
        _await(lambda: world.ask(host="one.example").status == 200)
    assert listed(world) == before
    assert world.ask(host="one.example").told["replica"] == "web.2"
    assert world.ask("/x/y", host="two.example").told["target"] == "/y"


def test_a_command_killed_in_the_middle_of_a_switch_is_taken_back(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = world.replica("web.1"), world.replica("web.2", "127.0.0.3")
    world.edge.apply(app("one", old.upstream))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(servers, "_retire_old", killed)
        with pytest.raises(KeyboardInterrupt):
            world.edge.switch("one", {WEB: [new.upstream]})
    assert world.edge.layout.unfinished.exists()
    world.edge.ensure_running()
    assert not world.edge.layout.unfinished.exists()
    assert {world.ask(host="one.example").told["replica"] for _ in range(6)} == {"web.1"}
    assert world.edge.read("one").replicas(WEB) == (old.upstream,)


@pytest.mark.parametrize("where", [(Disk, "write_app"), (Disk, "write_pool"), (Edge, "_reload"), (Disk, "finish")])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_command_killed_anywhere_in_a_change_of_structure_is_taken_back(
    world: Any, monkeypatch: pytest.MonkeyPatch, where: tuple[type, str], moment: str
) -> None:
    good = world.replica("web.1").upstream
    world.edge.apply(app("one", good))
    owner, name = where
    real = getattr(owner, name)

    def killed(*given: Any) -> None:
        if moment == "after":
            real(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killed)
        with pytest.raises(KeyboardInterrupt):
            world.edge.apply(app("two", good, route={"path": "/x", "strip_prefix": True}))
    world.edge.ensure_running()
    is_done = name == "finish" and moment == "after"
    assert world.ask("/x/y", host="two.example").status == (200 if is_done else 404)
    assert (world.edge.read("two") is not None) is is_done
    assert world.ask(host="one.example").status == 200
    running = {(line.backend, line.name) for line in world.edge.runtime.servers()}
    assert (("two.web.3000", "s1") in running) is is_done
    world.edge.apply(app("two", good, route={"path": "/x", "strip_prefix": True}))
    assert world.ask("/x/y", host="two.example").told["target"] == "/y"


def test_a_lost_configuration_directory_is_rendered_again(world: Any, home: Path) -> None:
    world.edge.apply(app("one", world.replica("web.1").upstream, route={"path": "/x", "strip_prefix": True}))
    before = listed(world)
    world.edge.stop()
    for path in [*world.edge.layout.configuration.iterdir(), world.edge.layout.routes]:
        path.unlink()
    again = Edge(home, world.edge._runner, world.edge.settings)
    again.restore()
    after = listed(world)
    assert {name: text for name, text in after.items() if name.startswith("app")} == {
        name: text for name, text in before.items() if name.startswith("app")
    }
    assert world.ask("/x/y", host="one.example").status == 200


def test_after_a_power_cut_only_the_records_are_needed_and_may_disagree(world: Any, home: Path) -> None:
    world.edge.apply(app("one", world.replica("web.1").upstream))
    before = load_pool(world.edge.layout)
    world.edge.apply(app("two", world.replica("web.2").upstream))
    world.edge.stop()
    save_pool(world.edge.layout, before)
    for derived in ("conf", "maps", "lua", "pages"):
        for path in (home / derived).iterdir():
            path.write_text("")
    world.edge.layout.unfinished.write_text("")
    Edge(home, ProcessRunner(), world.edge.settings).ensure_running()
    told = [world.ask(host=f"{name}.example").told["replica"] for name in ("one", "two")]
    assert told == ["web.1", "web.2"]
    assert before.free[0] not in load_pool(world.edge.layout).free


def test_an_edge_made_by_another_version_is_made_anew_before_it_holds(world: Any, home: Path) -> None:
    replica = world.replica("web.1")
    world.edge.apply(app("one", replica.upstream))
    for file in world.edge.layout.configuration.iterdir():
        old = file.read_text().replace("  option redispatch 1\n", "")
        file.write_text("\n".join(line for line in old.splitlines() if "lua.wait if" not in line) + "\n")
    next_command = Edge(home, ProcessRunner(), world.edge.settings)
    next_command.hold("one", *WEB)
    with ThreadPoolExecutor() as waiting:
        asked = waiting.submit(world.ask, host="one.example")
        time.sleep(1.5)
        assert not asked.done()
        next_command.switch("one", {WEB: [replica.upstream]})
        assert asked.result().status == 200


@pytest.mark.parametrize("letter", list(" '\"\\#$;:,()[]"))
def test_a_directory_that_haproxy_cannot_take_is_refused_at_once(home: Path, letter: str) -> None:
    with pytest.raises(RefusedError, match="HAProxy takes no path with"):
        Edge(home / f"a{letter}b", ProcessRunner(), EdgeSettings())
    assert not list(home.iterdir())


def test_a_directory_of_any_other_letters_serves(home: Path, world: Any) -> None:
    world.edge.stop()
    strange = Edge(home / "-_.~@=+é^!%&*?{}|<>", ProcessRunner(), world.edge.settings)
    try:
        strange.ensure_running()
        moved = Route(host="old.example", redirect_to="https://two.example")
        replica = world.replica("web.1").upstream
        two = app("two", replica)
        strange.apply(replace(two, routes=(*two.routes, moved)))
        strange.hold("two", *WEB)
        strange.switch("two", {WEB: [replica]})
        assert world.ask(host="two.example").told["replica"] == "web.1"
        assert world.ask("/x", host="old.example").headers["location"] == "https://two.example/x"
        strange.apply(two)
        assert world.ask(host="old.example").status == 404
    finally:
        strange.stop()


def test_new_settings_are_loaded_at_the_next_start(world: Any, home: Path) -> None:
    world.edge.apply(app("one", world.replica("web.1").upstream))
    generation = load_pool(world.edge.layout).generation
    other = Edge(home, world.edge._runner, replace(world.edge.settings, trusted_proxies=("127.0.0.1/32",)))
    other.ensure_running()
    assert load_pool(world.edge.layout).generation == generation + 1
    assert world.ask(host="one.example", headers={"X-Forwarded-For": "1.2.3.4"}).seen["x-real-ip"] == "1.2.3.4"


def test_an_unchanged_app_is_left_alone(world: Any) -> None:
    one = app("one", world.replica("web.1").upstream)
    assert world.edge.apply(one).changed
    assert not world.edge.apply(one).changed


def _await(what: Callable[[], bool], limit: float = 5.0) -> None:
    deadline = time.monotonic() + limit
    while True:
        try:
            if what():
                return
        except OSError:
            assert time.monotonic() < deadline
        time.sleep(0.02)


def _through(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/", headers={"Host": "x"})
        told: str = json.loads(connection.getresponse().read())["replica"]
        return told
    finally:
        connection.close()
