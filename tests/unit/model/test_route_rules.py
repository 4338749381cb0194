"""A route is judged by itself, with the manifest's words for what is wrong."""

from __future__ import annotations

import pytest

from havre.model.route import RateLimit, Route
from havre.model.route_rules import broken_rules

HASH = "$6$salt$abcdef"
GOOD = Route(
    host="*.shop.example", path="/api", service="web", port=3000, timeout=5, tunnel_timeout=60, max_body=1,
    cache_ttl=60, rate_limit=RateLimit(count=1), allow=("10.0.0.5/8", "::1"), basic_auth=(("ann", HASH),),
    headers=(("X-A", None),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("route", "keys"),
    [
        (GOOD, []),
        (Route(host="a.org", redirect_to="https://b.org/x"), []),
        (Route(host="a_b..org", path="api", redirect_to="b.org"), ["host", "path", "redirect"]),
        (Route(host="a" * 254, path="/a//b"), ["host", "path", "to"]),
        (Route(host="a.org", service="web", port=70000), ["to"]),
        (
            Route(host="a.org", service="web", port=1, rate_limit=RateLimit(count=0), max_body=0),
            ["rate_limit", "max_body"],
        ),
        (Route(host="a.org", service="web", port=1, allow=("10.0.0.0/33",)), ["allow"]),
        (Route(host="a.org", service="web", port=1, basic_auth=(("a:b", "secret"),)), ["basic_auth", "basic_auth"]),
        (Route(host="a.org", service="web", port=1, headers=(("X A", "1"), ("X-B", "\n"))), ["headers", "headers"]),
    ],
)
def test_every_broken_rule_of_a_route_is_told_at_once(route: Route, keys: list[str]) -> None:
    assert [one.key for one in broken_rules(route)] == keys
