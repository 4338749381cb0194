"""How an app's edge becomes another: slots, spares, and when a reload is needed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from havre.edge.state import Applied, Backend, Pool, Slot
from havre.edge.transition import replenished, to_app
from havre.model.route import AppEdge, EdgeSettings, InsideListener, RateLimit, Route, TcpPort, Upstream

SETTINGS = EdgeSettings()
WEB = ("web", 3000)
POOL = replenished(Pool(), 2)
ROUTE = Route(host="shop.example", service="web", port=3000)


def replica(number: int) -> Upstream:
    return Upstream(name=f"web.{number}", address=f"10.0.0.{number}", port=3000)


def shop(*replicas: int, **more: object) -> AppEdge:
    upstreams = ((WEB, tuple(replica(number) for number in replicas)),)
    return AppEdge(**{"instance": "shop", "routes": (ROUTE,), "upstreams": upstreams, **more})  # type: ignore[arg-type]


def slots(applied: Applied) -> dict[str, str]:
    return {f"s{slot.number}": f"{slot.upstream.name} {slot.state}" for slot in applied.backends[0].slots}


def test_a_plain_new_app_takes_a_spare_and_needs_no_reload() -> None:
    step = to_app(None, shop(1), POOL, SETTINGS)
    assert not step.needs_reload
    assert step.applied.backends[0].names == ("spare.0001",)
    assert step.pool.free == ("spare.0002",)


def test_without_spares_a_new_app_gets_a_backend_of_its_own() -> None:
    step = to_app(None, shop(1), Pool(), SETTINGS)
    assert (step.needs_reload, step.applied.backends[0].names) == (True, ("shop.web.3000",))


def test_a_release_moves_to_a_free_slot_and_drains_the_old() -> None:
    first = to_app(None, shop(1), POOL, SETTINGS)
    second = to_app(first.applied, shop(2), first.pool, SETTINGS)
    assert not second.needs_reload
    assert slots(second.applied) == {"s1": "web.1 drain", "s2": "web.2 ready"}
    back = to_app(second.applied, shop(1), second.pool, SETTINGS)
    assert slots(back.applied) == {"s1": "web.1 ready", "s2": "web.2 drain"}


def test_an_app_that_goes_gives_its_spare_back_once_its_replicas_are_forgotten() -> None:
    first = to_app(None, shop(1), POOL, SETTINGS)
    leaving = to_app(first.applied, AppEdge(instance="shop"), first.pool, SETTINGS)
    assert slots(leaving.applied) == {"s1": "web.1 drain"}
    assert leaving.pool.free == ("spare.0002",)
    idle = Applied(app=leaving.applied.app, backends=(leaving.applied.backends[0].without("web.1"),))
    gone = to_app(idle, AppEdge(instance="shop"), leaving.pool, SETTINGS)
    assert (gone.applied.backends, gone.pool.free, gone.needs_reload) == ((), ("spare.0001", "spare.0002"), False)


def test_many_replicas_need_more_slots_and_one_reload() -> None:
    first = to_app(None, shop(1), POOL, SETTINGS)
    more = to_app(first.applied, shop(*range(2, 8)), first.pool, SETTINGS)
    assert (more.needs_reload, more.applied.backends[0].capacity) == (True, 12)
    fewer = to_app(more.applied, shop(9), more.pool, SETTINGS)
    assert (fewer.needs_reload, fewer.applied.backends[0].capacity) == (False, 12)


def test_listeners_come_and_go_with_a_reload() -> None:
    port = TcpPort(address="127.0.0.1", port=5434, service="web", target=3000)
    inside = InsideListener(address="172.18.0.1", port=3000, service="web", target=3000)
    first = to_app(None, shop(1), POOL, SETTINGS)
    published = to_app(first.applied, shop(1, tcp_ports=(port,), inside=(inside,)), first.pool, SETTINGS)
    assert published.needs_reload
    assert published.applied.backends[0].names == ("spare.0001", "shop.web.3000.tcp")
    assert to_app(published.applied, shop(1), published.pool, SETTINGS).needs_reload


def test_a_new_rate_limit_period_declares_its_table() -> None:
    first = to_app(None, shop(1), POOL, SETTINGS)
    hourly = shop(1, routes=(replace(ROUTE, rate_limit=RateLimit(count=5, period=3600)),))
    step = to_app(first.applied, hourly, first.pool, SETTINGS)
    assert (step.needs_reload, step.pool.periods) == (True, (60, 3600))


def test_a_hold_drains_everything_and_a_switch_ends_it() -> None:
    first = to_app(None, shop(1), POOL, SETTINGS)
    held = to_app(first.applied, shop(), first.pool, SETTINGS, hold=[WEB])
    assert (slots(held.applied), held.applied.backends[0].held) == ({"s1": "web.1 drain"}, True)
    after = to_app(held.applied, shop(2), held.pool, SETTINGS)
    assert (slots(after.applied), after.applied.backends[0].held) == ({"s1": "web.1 drain", "s2": "web.2 ready"}, False)


def test_spares_are_numbered_on_and_never_twice() -> None:
    once = replenished(Pool(), 2)
    again = replenished(replace(once, free=once.free[1:]), 3)
    assert again.free == ("spare.0002", "spare.0003", "spare.0004")


@given(st.lists(st.tuples(st.sets(st.integers(1, 9), max_size=4), st.sets(st.integers(1, 9))), max_size=12))
def test_no_slot_is_ever_given_to_two_replicas(moves: list[tuple[set[int], set[int]]]) -> None:
    backend = Backend(endpoint=WEB, names=("b",))
    for wanted, forgotten in moves:
        backend = backend.leading_to(tuple(replica(number) for number in sorted(wanted)), held=False)
        numbers = [slot.number for slot in backend.slots]
        assert len(set(numbers)) == len(numbers)
        assert {slot.upstream for slot in backend.slots if slot.state == "ready"} == {replica(n) for n in wanted}
        kept = {slot.upstream: slot.number for slot in backend.slots}
        backend = backend.without(*(f"web.{number}" for number in forgotten))
        assert all(kept[slot.upstream] == slot.number for slot in backend.slots)
        assert not {slot.upstream.name for slot in backend.draining} & {f"web.{number}" for number in forgotten}


def test_a_forgotten_replica_that_takes_traffic_stays() -> None:
    backend = Backend(endpoint=WEB, names=("b",), slots=(Slot(number=1, upstream=replica(1)),))
    assert backend.without("web.1") == backend
