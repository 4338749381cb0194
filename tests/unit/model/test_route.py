"""What leads where, in words and as endpoints."""

from __future__ import annotations

import pytest

from havre.model.route import AppEdge, InsideListener, RateLimit, Route, TcpPort, Upstream, route_for

WEB = Route(host="shop.example", service="web", port=3000)
API = Route(host="shop.example", path="/api", service="api", port=8000)
WWW = Route(host="www.shop.example", redirect_to="https://shop.example")
DB = TcpPort(address="127.0.0.1", port=5434, service="db", target=5432)
INSIDE = InsideListener(address="10.0.0.1", port=8000, service="api", target=8000)
REPLICA = Upstream(name="web.1", address="10.0.0.5", port=3000)


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (RateLimit(count=100), "100/minute"),
        (RateLimit(count=5, period=90), "5/90s"),
        (API, "shop.example/api to api:8000"),
        (WWW, "www.shop.example/ to https://shop.example"),
        (DB, "127.0.0.1:5434 to db:5432"),
        (INSIDE, "10.0.0.1:8000 to api:8000 (http, inside)"),
        (REPLICA, "web.1 at 10.0.0.5:3000"),
    ],
)
def test_each_says_what_it_leads_to(thing: object, text: str) -> None:
    assert str(thing) == text


def test_an_edge_knows_its_endpoints_hosts_and_replicas() -> None:
    edge = AppEdge(
        instance="shop",
        routes=(WWW, WEB, API),
        tcp_ports=(DB,),
        inside=(INSIDE,),
        upstreams=((("web", 3000), (REPLICA,)), (("old", 1), ())),
    )
    assert edge.endpoints == (("api", 8000), ("db", 5432), ("old", 1), ("web", 3000))
    assert edge.hosts == ("shop.example", "www.shop.example")
    assert edge.replicas(("web", 3000)) == (REPLICA,)
    assert edge.replicas(("api", 8000)) == ()


@pytest.mark.parametrize(
    ("host", "path", "found"),
    [
        ("shop.example", "/", WEB),
        ("Shop.Example", "/apix", WEB),
        ("shop.example", "/api", API),
        ("shop.example", "/api/x", API),
        ("shop.example", "/api?x=/", API),
        ("a.shop.example", "/x", None),
        ("a.shop.example", "/all/x", Route(host="*.shop.example", path="/all/", service="all", port=1)),
        ("own.shop.example", "/all/x", Route(host="*.shop.example", path="/all/", service="all", port=1)),
        ("own.shop.example", "/mine", Route(host="own.shop.example", path="/mine", service="own", port=1)),
        ("other.example", "/", None),
    ],
)
def test_a_request_takes_the_longest_path_of_its_host_else_of_the_wildcard(
    host: str, path: str, found: Route | None
) -> None:
    wild = Route(host="*.shop.example", path="/all/", service="all", port=1)
    own = Route(host="own.shop.example", path="/mine", service="own", port=1)
    assert route_for(host, path, (WEB, API, WWW, wild, own)) == found
