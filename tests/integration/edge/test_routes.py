"""What visitors and replicas see through a real edge, route by route."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from havre.host.commands import run
from havre.model.route import RateLimit, Route, Upstream

pytestmark = pytest.mark.process
WEB, API = ("web", 3000), ("api", 8000)


def web(**more: Any) -> Route:
    return Route(**{"host": "shop.example", "service": "web", "port": 3000, **more})


def api(**more: Any) -> Route:
    return Route(**{"host": "shop.example", "path": "/api", "service": "api", "port": 8000, **more})


def serve(world: Any, *routes: Route) -> None:
    """Serve the routes, with one replica of `web` and one of `api`."""
    upstreams = ((WEB, (world.replica("web.1").upstream,)), (API, (world.replica("api.1", "127.0.0.3").upstream,)))
    world.edge.apply(world.app(*routes, upstreams=upstreams))


def test_the_longest_prefix_of_whole_segments_wins(world: Any) -> None:
    serve(world, web(), api(), web(path="/api/admin"))
    paths = ("/", "/apix", "/api", "/api/x", "/api/admin/y", "/x/api")
    found = {path: world.ask(path).told["replica"] for path in paths}
    assert found == {
        "/": "web.1",
        "/apix": "web.1",
        "/api": "api.1",
        "/api/x": "api.1",
        "/api/admin/y": "web.1",
        "/x/api": "web.1",
    }


def test_unknown_hosts_and_paths_are_not_found(world: Any) -> None:
    serve(world, api())
    assert world.ask("/").status == 404
    assert world.ask("/api", host="other.example").status == 404


def test_a_path_may_hold_every_character_that_a_route_may(world: Any) -> None:
    strange = "/a;b!c$d'(e)*f"
    world.edge.apply(world.app(web(path=strange), upstreams=((WEB, (world.replica("web.1").upstream,)),)))
    assert world.ask(f"{strange}/x").told["target"] == f"{strange}/x"
    assert world.ask("/a").status == 404
    world.edge.apply(world.app(web(path=strange, max_body=5), upstreams=((WEB, (world.replica("web.2").upstream,)),)))
    assert world.ask(strange, method="POST", body=b"123456").status == 413


def test_hosts_match_without_case_and_port_and_by_wildcard(world: Any) -> None:
    serve(world, web(), api(host="*.shop.example", path="/"))
    assert world.ask(host="SHOP.example:8080").told["replica"] == "web.1"
    assert world.ask(host="eu.shop.example").told["replica"] == "api.1"
    assert world.ask(host="a.eu.shop.example").status == 404


def test_a_stripped_prefix_reaches_the_service_without_it(world: Any) -> None:
    serve(world, web(), api(strip_prefix=True))
    assert [world.ask(path).told["target"] for path in ("/api/items?q=a%20b", "/api", "/api/")] == [
        "/items?q=a%20b",
        "/",
        "/",
    ]
    assert world.ask("/api/x").seen["x-forwarded-prefix"] == "/api"


@pytest.mark.parametrize("path", ["//admin", "/%61dmin", "/x/../admin", "/./admin", "/admin%2Fx"])
def test_a_login_cannot_be_slipped_past_by_writing_the_path_otherwise(world: Any, path: str) -> None:
    hashed = run(["openssl", "passwd", "-6", "secret"]).stdout.strip()
    serve(world, web(), web(path="/admin", basic_auth=(("ann", hashed),)))
    assert world.ask(path).status in {400, 401}


def test_basic_auth_asks_and_lets_in(world: Any) -> None:
    hashed = run(["openssl", "passwd", "-6", "secret"]).stdout.strip()
    serve(world, web(), web(path="/admin", basic_auth=(("ann", hashed),)))
    refused = world.ask("/admin")
    assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Basic realm="shop.example"')
    assert world.ask("/admin", headers={"Authorization": "Basic YW5uOndyb25n"}).status == 401
    assert world.ask("/admin", headers={"Authorization": "Basic YW5uOnNlY3JldA=="}).status == 200
    assert world.ask("/").status == 200


def test_an_allow_list_admits_only_its_networks(world: Any) -> None:
    serve(world, web(allow=("127.0.7.0/24",)))
    assert world.ask(source="127.0.7.9").status == 200
    assert world.ask(source="127.0.8.9").status == 403


def test_security_headers_are_there_unless_the_app_or_the_route_says_otherwise(world: Any) -> None:
    own = (("X-Frame-Options", None), ("Referrer-Policy", "no-referrer"), ("X-Team", "50% 'a'"))
    serve(world, web(), api(headers=own))
    default = world.ask().headers
    assert (default["x-content-type-options"], default["x-frame-options"]) == ("nosniff", "DENY")
    assert default["referrer-policy"] == "strict-origin-when-cross-origin"
    assert "strict-transport-security" not in default
    assert world.ask("/?h-X-Frame-Options=SAMEORIGIN").headers["x-frame-options"] == "SAMEORIGIN"
    adjusted = world.ask("/api").headers
    assert "x-frame-options" not in adjusted
    assert (adjusted["referrer-policy"], adjusted["x-team"]) == ("no-referrer", "50% 'a'")
    assert adjusted["x-content-type-options"] == "nosniff"


def test_what_the_edge_says_itself_has_the_routes_headers_or_the_default_ones(world: Any) -> None:
    own = (("X-Frame-Options", None), ("X-Team", "blue"))
    login = (("ann", run(["openssl", "passwd", "-6", "secret"]).stdout.strip()),)
    serve(
        world,
        api(headers=own, basic_auth=login),
        web(path="/shut", headers=own, maintenance=True),
        Route(host="shop.example", path="/moved", redirect_to="https://other.example"),
        web(path="/few", headers=own, rate_limit=RateLimit(count=1)),
    )
    asked = world.ask("/api")
    assert (asked.status, asked.headers.get("x-team"), asked.headers.get("x-frame-options")) == (401, "blue", None)
    world.ask("/few")
    for path, status in (("/shut", 503), ("/moved", 301), ("/few", 429), ("/unknown", 404)):
        asked = world.ask(path)
        assert (asked.status, asked.headers["x-frame-options"]) == (status, "DENY"), path


def test_a_rate_limit_holds_per_client_and_says_when_to_return(world: Any) -> None:
    serve(world, web(), api(rate_limit=RateLimit(count=20, period=60)))
    statuses = [world.ask("/api").status for _ in range(30)]
    assert statuses == [200] * 20 + [429] * 10
    assert world.ask("/api").headers["retry-after"] == "60"
    assert world.ask("/").status == 200
    assert world.ask("/api", source="127.0.9.9").status == 200


def test_a_rate_limit_is_exact_under_concurrent_load(world: Any) -> None:
    serve(world, web(rate_limit=RateLimit(count=200, period=60)))
    statuses: list[int] = []

    def ask() -> None:
        statuses.extend(world.ask().status for _ in range(50))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 190 <= statuses.count(200) <= 210
    assert statuses.count(200) + statuses.count(429) == 400


def test_a_rate_limit_changes_and_survives_a_reload(world: Any) -> None:
    serve(world, web(rate_limit=RateLimit(count=5, period=60)))
    time.sleep(5.5)  # counters are handed over by workers that have been up for some seconds
    assert [world.ask().status for _ in range(6)] == [200] * 5 + [429]
    report = world.edge.apply(
        world.app(
            web(rate_limit=RateLimit(count=5, period=60)),
            web(path="/x", strip_prefix=True),
            upstreams=world.edge.read("shop").upstreams,
        )
    )
    assert report.reloaded
    time.sleep(1)
    assert world.ask().status == 429


def _pieces(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 1000


def test_bodies_beyond_the_limit_are_refused_with_and_without_a_length(world: Any) -> None:
    serve(world, web(), api(max_body=5000))
    assert world.ask("/api", method="POST", body=b"x" * 5000).told["received"] == 5000
    assert world.ask("/api", method="POST", body=b"x" * 5001).status == 413
    chunked = {"Transfer-Encoding": "chunked"}
    assert world.ask("/api", method="POST", body=_pieces(4), headers=chunked, chunked=True).told["received"] == 4000
    assert world.ask("/", method="POST", body=_pieces(50), headers=chunked, chunked=True).told["received"] == 50_000
    try:
        refused = world.ask("/api", method="POST", body=_pieces(50), headers=chunked, chunked=True).status
    except (ConnectionError, OSError):
        refused = 413  # it may end the connection before all is sent
    assert refused == 413


def test_answers_are_compressed_when_the_route_says_so(world: Any) -> None:
    serve(world, web(), api(compress=True))
    accepts = {"Accept-Encoding": "gzip"}
    squeezed = world.ask("/api?bytes=5000&type=text/plain", headers=accepts)
    assert squeezed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(squeezed.body) == b"a" * 5000
    assert "content-encoding" not in world.ask("/?bytes=5000&type=text/plain", headers=accepts).headers
    assert "content-encoding" not in world.ask("/api?bytes=5000&type=image/png", headers=accepts).headers


def test_a_cached_route_asks_the_service_once_and_respects_no_store(world: Any) -> None:
    serve(world, web(), api(cache_ttl=60))
    ids = {world.ask("/api/list").told["headers"]["x-request-id"] for _ in range(4)}
    assert len(ids) == 1
    for private in ("/api/me?h-Cache-Control=no-store", "/api/login?h-Set-Cookie=session=ann"):
        assert len({world.ask(private).told["headers"]["x-request-id"] for _ in range(3)}) == 3, private
    assert "x-request-id" in world.ask("/api/list").headers, "the visit's own, not that of the answer that was kept"
    assert len({world.ask("/").told["headers"]["x-request-id"] for _ in range(3)}) == 3


def test_redirects_keep_path_and_query(world: Any) -> None:
    serve(world, web(), Route(host="www.shop.example", redirect_to="https://shop.example"))
    answer = world.ask("/a/b?c=d", host="www.shop.example")
    assert (answer.status, answer.headers["location"]) == (301, "https://shop.example/a/b?c=d")


def test_maintenance_is_told_and_ends(world: Any) -> None:
    serve(world, web(maintenance=True))
    answer = world.ask()
    assert (answer.status, answer.headers["retry-after"]) == (503, "120")
    assert b"Back soon" in answer.body
    report = world.edge.apply(world.app(web(), upstreams=world.edge.read("shop").upstreams))
    assert (world.ask().status, report.reloaded) == (200, False)


def test_a_route_may_wait_longer_or_shorter(world: Any) -> None:
    serve(world, web(), api(timeout=0.3))
    assert world.ask("/?ms=600").status == 200
    assert world.ask("/api?ms=600").status == 504


def test_untrusted_visitors_cannot_forge_who_they_are(world: Any) -> None:
    serve(world, web())
    forged = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Real-IP": "6.6.6.6"}
    seen = world.ask(headers={**forged, "X-Request-Id": "evil" * 3}, source="127.0.5.5").seen
    assert (seen["x-forwarded-for"], seen["x-real-ip"]) == ("127.0.5.5", "127.0.5.5")
    assert (seen["x-forwarded-proto"], seen["x-forwarded-host"]) == ("http", "shop.example")
    assert seen["x-request-id"] != "evil" * 3


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7, 10.1.1.1", "203.0.113.7"),
        ("10.2.2.2, 10.1.1.1", "10.2.2.2"),
        ("6.6.6.6, unknown", "127.0.0.1"),
    ],
)
def test_behind_trusted_proxies_the_nearest_stranger_is_the_client(make_world: Any, chain: str, client: str) -> None:
    world = make_world(trusted_proxies=("127.0.0.1/32", "10.0.0.0/8"))
    serve(world, web())
    headers = {"X-Forwarded-For": chain, "X-Forwarded-Proto": "https", "X-Forwarded-Host": "public.example"}
    seen = world.ask(headers={**headers, "X-Request-Id": "from-the-front"}).seen
    assert (seen["x-forwarded-for"], seen["x-real-ip"]) == (client, client)
    assert (seen["x-forwarded-proto"], seen["x-forwarded-host"]) == ("https", "public.example")
    assert seen["x-request-id"] == "from-the-front"
    direct = world.ask(headers=headers, source="127.0.0.9").seen
    assert (direct["x-forwarded-for"], direct["x-forwarded-proto"]) == ("127.0.0.9", "http")


def test_the_rate_limit_counts_the_real_client_behind_a_proxy(make_world: Any) -> None:
    world = make_world(trusted_proxies=("127.0.0.1/32",))
    serve(world, web(rate_limit=RateLimit(count=3, period=60)))
    asked = [world.ask(headers={"X-Forwarded-For": f"203.0.113.{n % 2}"}).status for n in range(8)]
    assert asked == [200] * 6 + [429] * 2


def test_a_visitor_with_many_ipv6_addresses_is_one_client(make_world: Any) -> None:
    world = make_world(trusted_proxies=("127.0.0.1/32",))
    serve(world, web(rate_limit=RateLimit(count=5, period=60)))

    def status(address: str) -> int:
        found: int = world.ask(headers={"X-Forwarded-For": address}).status
        return found

    assert [status(f"2001:db8::{number}") for number in range(1, 8)] == [200] * 5 + [429] * 2
    assert status("2001:db8:0:1::1") == 200


def test_the_access_log_is_json_with_the_request_id(world: Any) -> None:
    serve(world, web())
    seen = world.ask('/a"b?x=1', headers={"User-Agent": "x"}).headers["x-request-id"]
    world.ask("/", host='bad".example')
    with socket.create_connection(("127.0.0.1", world.port), timeout=5) as stranger:
        stranger.sendall(b"nonsense\r\n\r\n")
        assert stranger.recv(1000).startswith(b"HTTP/1.1 400 ")
    time.sleep(0.2)
    lines = [json.loads(line) for line in world.edge.layout.log.read_text().splitlines()]
    (mine,) = [line for line in lines if line["id"] == seen]
    assert {key: mine[key] for key in ("ip", "method", "host", "path", "status", "app", "service")} == {
        "ip": "127.0.0.1",
        "method": "GET",
        "host": "shop.example",
        "path": '/a"b?x=1',
        "status": 200,
        "app": "shop",
        "service": "web",
    }
    assert {line["ip"] for line in lines if line["status"] == 400} == {"127.0.0.1"}


def test_server_sent_events_arrive_as_they_are_sent(world: Any) -> None:
    with socket.create_server(("127.0.0.4", 0)) as listener:
        upstream = Upstream(name="web.1", address="127.0.0.4", port=listener.getsockname()[1])
        world.edge.apply(world.app(web(compress=True), upstreams=((WEB, (upstream,)),)))
        with socket.create_connection(("127.0.0.1", world.port), timeout=5) as visitor:
            visitor.sendall(b"GET /events HTTP/1.1\r\nHost: shop.example\r\nAccept-Encoding: gzip\r\n\r\n")
            service = _first_request(listener)
            with service:
                service.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
                assert b"data: 1" in _read_until(visitor, b"data: 1")
                service.sendall(b"data: 2\n\n")
                assert b"data: 2" in _read_until(visitor, b"data: 2")


def _first_request(listener: socket.socket) -> socket.socket:
    """Accept until somebody asks something (health checks only connect)."""
    while True:
        connection, _ = listener.accept()
        connection.settimeout(5)
        if connection.recv(4096):
            return connection
        connection.close()


def _read_until(connection: socket.socket, what: bytes) -> bytes:
    data = b""
    while what not in data:
        part = connection.recv(4096)
        assert part, data
        data += part
    return data
