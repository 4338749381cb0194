"""What the edge would refuse or lead in circles is told by its line, before a release meets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from havre.edge import x509
from havre.edge.certificate_files import own_problems
from havre.model.route import AppEdge, Route, Tls

SHOP = "services: {web: {image: 'shop:1', expose: ['3000']}}\n"


def told(judge: Any, check: str, *routes: str) -> list[str]:
    """`line summary` for each problem; the first route is in line 3."""
    manifest = "\n".join(["app: shop", "routes:", *(f"- {{{route}}}" for route in routes)])
    return [f"{one.at.line}:{one.at.column} {one.summary}" for one in judge.problems(check, SHOP, manifest)]


@pytest.mark.parametrize(
    ("route", "summary"),
    [
        ("timeout: 0s", "3:33 the timeout of a.org/ is out of range"),
        ("websocket_timeout: 200h", "3:33 the websocket_timeout of a.org/ is out of range"),
        ("cache: 48h", "3:33 the cache time of a.org/ is out of range"),
        ("path: /../x", "3:33 `/../x` is not a path prefix"),
        ("path: /a%20b", "3:33 `/a%20b` is not a path prefix"),
        (r'headers: {X-Foo: "a\nb"}', "3:33 the header `'X-Foo'` of a.org/ is malformed"),
    ],
)
def test_a_value_that_the_edge_refuses_is_told_by_its_line(judge: Any, route: str, summary: str) -> None:
    assert told(judge, "route-refused", f"host: a.org, to: 'web:3000', {route}") == [summary]


def test_redirects_that_come_back_are_told_once_for_each_route_of_the_circle(judge: Any) -> None:
    answered = "host: a.org, to: 'web:3000'"
    assert (
        told(judge, "route-loop", "host: a.org, redirect: 'https://www.a.org'", answered.replace("a.", "www.a.")) == []
    )
    assert told(judge, "route-loop", "host: a.org, redirect: 'https://a.org'") == ["3:17 a.org/ redirects in a circle"]
    circle = ("host: a.org, redirect: 'https://www.a.org'", "host: '*.a.org', redirect: 'https://A.org/'")
    assert told(judge, "route-loop", *circle) == [
        "3:17 a.org/ redirects in a circle",
        "4:21 *.a.org/ redirects in a circle",
    ]
    before = ("host: old.org, redirect: 'https://a.org'", "host: a.org, redirect: 'http://a.org/x'")
    assert told(judge, "route-loop", *before) == ["4:17 a.org/ redirects in a circle"], "the first only leads there"


def test_a_redirect_that_leaves_the_edge_or_its_own_path_is_no_circle(judge: Any) -> None:
    for routes in (
        ("host: a.org, redirect: 'https://a.org:8443'",),
        ("host: a.org, redirect: 'https://b.org'",),
        ("host: a.org, path: /old, redirect: 'https://a.org/new'", "host: a.org, to: 'web:3000'"),
        ("host: a.org, path: /old, redirect: 'https://a.org/new'",),
    ):
        assert told(judge, "route-loop", *routes) == [], routes


def test_a_certificate_that_the_edge_would_refuse_is_told_by_its_line(judge: Any, tmp_path: Path) -> None:
    pem, other = tmp_path / "shop.pem", tmp_path / "other.pem"
    pem.write_bytes(x509.self_signed(["a.org"]))
    other.write_bytes(x509.self_signed(["a.org"]))

    def told(host: str, certificate: Path, key: Path) -> list[str]:
        tls = Tls(mode="own", certificate=str(certificate), key=str(key))
        edge = AppEdge(instance="shop", routes=(Route(host=host, service="web", port=3000),), tls=tls)
        manifest = f"app: shop\ntls: {{mode: own, certificate: {certificate}, key: {key}}}\n"
        found = judge.problems("tls-certificate", SHOP, manifest, certificate=own_problems(edge))
        return [f"{one.at.line}:{one.at.column} {one.summary}" for one in found]

    assert told("a.org", pem, pem) == []
    assert told("a.org", pem, other) == ["2:18 the key does not belong to the certificate"]
    assert told("a.org", tmp_path / "gone.pem", pem) == [f"2:18 the certificate {tmp_path}/gone.pem cannot be read"]
    assert len(told("b.org", pem, pem)) == 1
    assert own_problems(AppEdge(instance="shop", routes=())) == ()
