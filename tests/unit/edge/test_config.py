"""The rendered configuration: deterministic, quoted, and only as long as the app needs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.edge import maps, text
from havre.edge.app_config import app_configuration, spare, structure
from havre.edge.config import base, binds
from havre.edge.holding import retries
from havre.edge.layout import Layout
from havre.edge.state import Applied, Backend, Pool, Slot
from havre.edge.validate import problems
from havre.model.route import AppEdge, EdgeSettings, InsideListener, RateLimit, Route, TcpPort, Tls, Upstream

LAYOUT = Layout(Path("/srv/edge"))
SETTINGS = EdgeSettings(https_port=None)
WEB = ("web", 3000)
ONE = Upstream(name="web.1", address="10.0.0.2", port=3000)


def shop(*routes: Route, **more: object) -> AppEdge:
    return AppEdge(instance="shop", routes=routes, **more)  # type: ignore[arg-type]


def web(**more: object) -> Route:
    return Route(**{"host": "shop.example", "service": "web", "port": 3000, **more})  # type: ignore[arg-type]


def applied(app: AppEdge, *names: str, **more: object) -> Applied:
    backend = Backend(endpoint=WEB, names=names or ("shop.web.3000",), **more)  # type: ignore[arg-type]
    return Applied(app=app, backends=(backend,))


def test_a_plain_app_is_slots_and_nothing_else() -> None:
    found = app_configuration(applied(shop(web()), slots=(Slot(number=1, upstream=ONE),)), SETTINGS)
    assert (
        found
        == """\
backend shop.web.3000 from havre-http
  balance leastconn
  http-request lua.wait if { srv_is_up(hold) }
  server s1 10.0.0.2:3000 check
  server s2 127.0.0.1:1 check disabled
  server s3 127.0.0.1:1 check disabled
  server s4 127.0.0.1:1 check disabled
  server hold "${HAVRE_GATE}" no-check send-proxy-v2 proxy-v2-options unique-id disabled

"""
    )


def test_a_spare_backend_is_what_a_plain_app_needs() -> None:
    (section,) = structure(applied(shop(web()), "spare.0007"), SETTINGS)
    assert section == spare("spare.0007")


def test_draining_and_held_servers_start_as_such_after_a_restart() -> None:
    slots = (Slot(number=2, upstream=ONE, state="drain"),)
    found = app_configuration(applied(shop(web()), slots=slots, held=True), SETTINGS)
    assert "  server s2 10.0.0.2:3000 check disabled\n" in found
    assert found.rstrip().endswith("proxy-v2-options unique-id")


def test_replicas_do_not_change_the_structure() -> None:
    full = applied(shop(web()), slots=(Slot(number=1, upstream=ONE),), held=True)
    assert structure(full, SETTINGS) == structure(applied(shop(web())), SETTINGS)


@pytest.mark.parametrize(
    "change",
    [
        {"strip_prefix": True, "path": "/x"},
        {"sticky": True},
        {"balance": "roundrobin"},
        {"compress": True},
        {"cache_ttl": 5},
        {"timeout": 5.0},
        {"headers": (("X-A", "b"),)},
        {"allow": ("10.0.0.0/8",)},
        {"basic_auth": (("ann", "$6$x$y"),)},
    ],
)
def test_what_the_map_cannot_say_changes_the_structure(change: dict[str, object]) -> None:
    assert structure(applied(shop(web(**change))), SETTINGS) != structure(applied(shop(web())), SETTINGS)


@pytest.mark.parametrize(
    "change", [{"rate_limit": RateLimit(count=5)}, {"max_body": 5}, {"maintenance": True}, {"path": "/other"}]
)
def test_what_the_map_says_leaves_the_structure_alone(change: dict[str, object]) -> None:
    assert structure(applied(shop(web(**change))), SETTINGS) == structure(applied(shop(web())), SETTINGS)


def test_a_route_is_one_line_of_the_map() -> None:
    route = web(path="/api", rate_limit=RateLimit(count=100), max_body=5000, headers=(("X-A", "b"),))
    lines = maps.route_lines(applied(shop(route, tls=Tls(mode="acme"))))
    assert lines == {
        "shop.example/api/": 'b|shop.web.3000|100|5000|60|shop","service":"web","route":"shop.example/api/'
    }


def test_redirects_and_maintenance_have_backends_of_their_own() -> None:
    moved = Route(host="www.shop.example", redirect_to="https://shop.example/")
    app = applied(shop(web(maintenance=True), moved))
    assert [line.split("|")[1] for line in maps.route_lines(app).values()] == ["havre.maintenance", "havre.redirect"]
    assert maps.redirect_lines(app) == {"www.shop.example/": "https://shop.example"}


def test_maps_are_sorted_and_read_back() -> None:
    entries = {"b.example/": "2|x y", "a.example/": "1"}
    assert maps.write_map(entries) == "a.example/ 1\nb.example/ 2|x y\n"
    assert maps.read_map(maps.write_map(entries)) == entries


def test_published_and_inside_listeners_lead_to_their_backends() -> None:
    app = AppEdge(
        instance="shop",
        tcp_ports=(TcpPort(address="::1", port=5434, service="web", target=3000),),
        inside=(InsideListener(address="172.18.0.1", port=8000, service="web", target=3000),),
    )
    names = ("shop.web.3000", "shop.web.3000.tcp")
    sections = structure(applied(app, *names), EdgeSettings(nonlocal_bind=True))
    published, inside = sections[2:]
    assert published == (
        "frontend shop.tcp.::1.5434 from havre-tcp\n  bind [::1]:5434\n"
        "  unique-id-format shop.web.3000.tcp\n  no log\n  default_backend shop.web.3000.tcp\n"
    )
    assert inside == (
        "frontend shop.inside.172.18.0.1.8000 from havre-http\n  bind 172.18.0.1:8000 transparent\n"
        "  unique-id-format shop.web.3000\n  no log\n"
        "  http-request disable-l7-retry unless { method GET HEAD OPTIONS }\n  default_backend shop.web.3000\n"
    )


def test_the_base_depends_on_nothing_but_its_arguments() -> None:
    pool = Pool(generation=3, periods=(60, 3600), thumbprint="abc")
    assert base(SETTINGS, LAYOUT, pool) == base(SETTINGS, LAYOUT, pool)
    assert "description generation-3" in base(SETTINGS, LAYOUT, pool)
    assert "gpc0_rate(3600s)" in base(SETTINGS, LAYOUT, pool)
    assert "abc" in base(SETTINGS, LAYOUT, pool)
    assert "acme-challenge" not in base(SETTINGS, LAYOUT, Pool())


def test_forwarded_headers_count_only_where_a_proxy_is_trusted() -> None:
    assert "x-forwarded-for,-1" not in base(SETTINGS, LAYOUT, Pool())
    trusting = base(EdgeSettings(https_port=None, trusted_proxies=("10.0.0.0/8",)), LAYOUT, Pool())
    assert "acl from_proxy src 10.0.0.0/8" in trusted_lines(trusting)


def trusted_lines(config: str) -> list[str]:
    return [line.strip() for line in config.splitlines()]


def test_public_addresses_may_be_of_both_families() -> None:
    assert binds(EdgeSettings(addresses=("0.0.0.0", "::")), 80) == ["0.0.0.0:80", "[::]:80 v6only"]


def test_a_hold_is_made_of_quick_tries() -> None:
    assert (retries(15), retries(0.1), retries(30)) == (60, 1, 120)


@given(st.text(st.characters(min_codepoint=32, exclude_characters="\x7f")))
def test_a_literal_is_one_word_that_cannot_be_left(value: str) -> None:
    quoted = text.literal(value)
    assert quoted[0] == quoted[-1] == "'"
    assert quoted[1:-1].replace("'\\''", "") == value.replace("'", "")


def found(app: AppEdge) -> list[str]:
    return [problem.summary for problem in problems(app, {})]


@pytest.mark.parametrize(
    ("route", "summary"),
    [
        ({"host": "shop example"}, "`shop example` is not a host name"),
        ({"host": "a|b"}, "`a|b` is not a host name"),
        ({"path": "/a|b"}, "`/a|b` is not a path prefix"),
        ({"path": "/a/../b"}, "`/a/../b` is not a path prefix"),
        ({"port": 0}, "shop.example/ leads nowhere"),
        ({"redirect_to": "javascript:1"}, "shop.example/ redirects to something that is no address"),
        ({"rate_limit": RateLimit(count=0)}, "the rate limit of shop.example/ is out of range"),
        ({"timeout": 0.0}, "the timeout of shop.example/ is out of range"),
        ({"max_body": 0}, "the body limit of shop.example/ is not positive"),
        ({"cache_ttl": 100_000}, "the cache time of shop.example/ is out of range"),
        ({"allow": ("10.0.0",)}, "`10.0.0` in the allow list of shop.example/ is no address"),
        ({"headers": (("X A", "b"),)}, "the header `'X A'` of shop.example/ is malformed"),
        ({"basic_auth": (("a:b", "$6$x$y"),)}, "a user name of shop.example/ is malformed"),
    ],
)
def test_what_cannot_be_served_is_told(route: dict[str, object], summary: str) -> None:
    assert found(shop(web(**route))) == [summary]


def test_all_problems_are_told_at_once_and_a_good_app_has_none() -> None:
    assert found(shop(web())) == []
    both = found(shop(web(), web(), web(path="/x", sticky=True)))
    assert both == [
        "shop.example is routed 2 times",
        "the routes to web:3000 disagree about balance, sticky or compress",
    ]


def test_a_route_of_another_app_cannot_be_taken() -> None:
    others = {"shop.example/": "other"}
    assert [problem.summary for problem in problems(shop(web()), others)] == [
        "shop.example/ is already served by the app `other`"
    ]
