"""Certificates of a real edge: self-signed, own, refused; visitors see the right one for their name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tls_visitor import shown

from havre.edge import x509
from havre.edge.certificates import Certificates
from havre.errors import RefusedError
from havre.model.route import AppEdge, Route, Tls

pytestmark = pytest.mark.process
WEB = ("web", 3000)


def app(instance: str, host: str, tls: Tls) -> AppEdge:
    return AppEdge(instance=instance, routes=(Route(host=host, service="web", port=3000),), tls=tls)


def own(directory: Path, *names: str, key_of: str | None = None) -> Tls:
    """Files with a certificate for `names`; with `key_of`, the key of another certificate."""
    pem = x509.self_signed(names)
    key = x509.self_signed((key_of,)) if key_of else pem
    (directory / "own.crt").write_bytes(pem.split(b"-----BEGIN PRIVATE KEY")[0])
    (directory / "own.key").write_bytes(b"-----BEGIN PRIVATE KEY" + key.split(b"-----BEGIN PRIVATE KEY")[1])
    return Tls(mode="own", certificate=str(directory / "own.crt"), key=str(directory / "own.key"))


@pytest.fixture
def tls_port(unused_port: Callable[[], int]) -> int:
    return unused_port()


def test_each_app_shows_its_own_certificate(make_world: Any, tls_port: int, tmp_path: Path) -> None:
    world = make_world(https_port=tls_port)
    world.edge.apply(app("one", "one.localhost", Tls(mode="self-signed")))
    world.edge.apply(app("two", "two.example", own(tmp_path, "two.example", "www.two.example")))
    assert shown(tls_port, "one.localhost").names == ("one.localhost",)
    assert shown(tls_port, "two.example").names == ("two.example", "www.two.example")
    assert shown(tls_port, "nobody.example").names == ("havre.invalid",)


def test_certificates_are_the_same_after_a_crash(make_world: Any, tls_port: int) -> None:
    world = make_world(https_port=tls_port)
    world.edge.apply(app("one", "one.localhost", Tls(mode="self-signed")))
    before = shown(tls_port, "one.localhost").serial
    world.edge.stop()
    world.edge.ensure_running()
    assert shown(tls_port, "one.localhost").serial == before


def test_a_removed_app_leaves_no_certificate_behind(make_world: Any, tls_port: int) -> None:
    world = make_world(https_port=tls_port)
    world.edge.apply(app("one", "one.localhost", Tls(mode="self-signed")))
    world.edge.remove("one")
    assert shown(tls_port, "one.localhost").names == ("havre.invalid",)


@pytest.mark.parametrize(
    ("names", "key_of", "complaint"),
    [
        (("shop.example",), "other.example", "the key does not belong to the certificate"),
        (("other.example",), None, "the certificate is not for shop.example"),
    ],
)
def test_a_bad_own_certificate_is_refused_and_touches_nobody(
    make_world: Any, tls_port: int, tmp_path: Path, names: tuple[str, ...], key_of: str | None, complaint: str
) -> None:
    world = make_world(https_port=tls_port)
    world.edge.apply(app("one", "one.localhost", Tls(mode="self-signed")))
    with pytest.raises(RefusedError, match=complaint):
        world.edge.apply(app("shop", "shop.example", own(tmp_path, *names, key_of=key_of)))
    assert world.edge.read("shop") is None
    assert shown(tls_port, "one.localhost").names == ("one.localhost",)


def test_plain_requests_are_redirected_to_tls(make_world: Any, tls_port: int) -> None:
    world = make_world(https_port=tls_port)
    world.edge.apply(app("one", "one.localhost", Tls(mode="self-signed")))
    answer = world.ask("/a?b=c", host="one.localhost")
    assert (answer.status, answer.headers["location"]) == (301, f"https://one.localhost:{tls_port}/a?b=c")
    assert world.ask("/a", host="one.localhost", method="POST", body=b"x").status == 308


def test_a_forced_renewal_replaces_self_signed_certificates_under_open_connections(
    make_world: Any, tls_port: int
) -> None:
    world = make_world(https_port=tls_port)
    for name in ("one", "two"):
        world.edge.apply(app(name, f"{name}.localhost", Tls(mode="self-signed")))
    before = {name: shown(tls_port, f"{name}.localhost").serial for name in ("one", "two")}
    certificates = Certificates(world.edge)
    assert certificates.renew().renewed == ()
    assert certificates.renew(("two.localhost",), force=True).renewed == ("two.localhost",)
    assert shown(tls_port, "one.localhost").serial == before["one"]
    assert shown(tls_port, "two.localhost").serial != before["two"]
    assert set(certificates.renew(force=True).renewed) == {"one.localhost", "two.localhost"}
    assert shown(tls_port, "one.localhost").serial != before["one"]


def test_an_own_certificate_that_was_replaced_on_disk_is_shown_after_the_next_round(
    make_world: Any, tls_port: int, tmp_path: Path
) -> None:
    world = make_world(https_port=tls_port)
    world.edge.apply(app("two", "two.example", own(tmp_path, "two.example")))
    before = shown(tls_port, "two.example").serial
    own(tmp_path, "two.example")
    assert Certificates(world.edge).renew().renewed == ("two.example",)
    assert shown(tls_port, "two.example").serial != before


@pytest.mark.parametrize("fault", ["another key", "gone"])
def test_an_own_certificate_that_went_bad_on_disk_stops_nothing_but_its_own_change(
    make_world: Any, tls_port: int, tmp_path: Path, fault: str
) -> None:
    """A hold can be ended and a release undone all the same; visitors keep the certificate that was good."""
    world = make_world(https_port=tls_port)
    shop = app("shop", "shop.example", own(tmp_path, "shop.example"))
    world.edge.apply(shop)
    before = shown(tls_port, "shop.example").serial
    if fault == "gone":
        (tmp_path / "own.key").unlink()
    else:
        own(tmp_path, "shop.example", key_of="other.example")
    world.edge.hold("shop", *WEB)
    assert world.edge.apply(shop).changed
    assert shown(tls_port, "shop.example").serial == before
    complaint = "cannot be read" if fault == "gone" else "the key does not belong to the certificate"
    with pytest.raises(RefusedError, match=complaint):
        world.edge.apply(replace(shop, routes=(Route(host="new.example", service="web", port=3000),)))
    with pytest.raises(RefusedError, match=complaint):
        world.edge.refresh_certificate("shop")
