"""HTTP/2, which curl speaks without TLS to the same port: bodies of unknown length, and answers that come early."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from havre.host.commands import run
from havre.model.route import RateLimit, Route

pytestmark = pytest.mark.process
WEB, API = ("web", 3000), ("api", 8000)
WAYS = 15
"""So often is asked, for what is reset is now and then heard all the same."""
LOGIN = (("ann", "$6$saltsalt$wZU0tXeX"),)


def route(path: str, **more: Any) -> Route:
    return Route(host="shop.example", path=path, service="web", port=3000, **more)


@pytest.fixture
def shop(world: Any) -> Any:
    """An app with every reason to refuse a request, and a service that nothing serves."""
    routes = (
        route("/"),
        route("/small", max_body=5000),
        route("/login", basic_auth=LOGIN),
        route("/us", allow=("10.9.9.9",)),
        route("/slow", rate_limit=RateLimit(count=1, period=60)),
        route("/closed", maintenance=True),
        Route(host="shop.example", path="/lost", service="api", port=8000),
    )
    replicas = (world.replica("web.1").upstream,)
    world.edge.apply(world.app(*routes, upstreams=((WEB, replicas),), hold_limit=1.0))
    assert _curl(world, "/slow", ["-d", "x"]) == "2 200"
    return world


def test_bodies_without_a_length_are_bounded_too(shop: Any) -> None:
    """A body from a pipe states no length. (The stream is reset.)"""
    assert _upload(shop, "/small", 4000) == "2 200"
    assert _upload(shop, "/small", 60_000) in {"2 413", "0 000"}
    assert _upload(shop, "/", 60_000) == "2 200"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/small", 413),
        ("/login", 401),
        ("/us", 403),
        ("/slow", 429),
        ("/closed", 503),
        ("/lost", 503),
        ("/a/../b", 400),
    ],
)
def test_who_is_refused_with_a_body_under_way_hears_why(shop: Any, path: str, status: int) -> None:
    heard = [_curl(shop, path, ["--path-as-is", "--data-binary", "@-"], b"x" * 12_000) for _ in range(WAYS)]
    assert set(heard) == {f"2 {status}"}


def test_a_body_passes_whatever_its_size(shop: Any) -> None:
    for size in (1, 14_999, 15_000, 15_001, 300_000):
        assert _curl(shop, "/", ["--data-binary", "@-"], b"x" * size) == "2 200"


def _upload(world: Any, path: str, size: int) -> str:
    return _curl(world, path, ["-X", "POST", "-T", "-"], b"x" * size)


def _curl(world: Any, path: str, how: Sequence[str], body: bytes = b"") -> str:
    """HTTP version and status that curl saw."""
    answer = ["-o", "/dev/null", "-w", "%{http_version} %{http_code}", "-H", "Host: shop.example"]
    argv = ["curl", "-s", "--http2-prior-knowledge", *answer, *how, f"http://127.0.0.1:{world.port}{path}"]
    return run(argv, stdin=body, check=False).stdout.strip()
