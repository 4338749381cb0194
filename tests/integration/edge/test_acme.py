"""Certificates from a real ACME server (pebble): issued, renewed under load, refused, by DNS for a wildcard."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tls_visitor import shown

from havre.edge import x509
from havre.edge.certificates import Certificates
from havre.host.commands import find_program
from havre.model.route import AppEdge, Route, Tls
from strict_client import Client, Load

pytestmark = pytest.mark.process
WEB = ("web", 3000)
HOOK = """\
import json, sys, urllib.request
action, name, value = sys.argv[2:]
body = {"host": name + ".", "value": value} if action == "add" else {"host": name + "."}
path = "set-txt" if action == "add" else "clear-txt"
urllib.request.urlopen(sys.argv[1] + "/" + path, data=json.dumps(body).encode()).read()
"""


@dataclass(frozen=True)
class Pebble:
    """A running ACME server that resolves every name to 127.0.0.1."""

    directory: str
    ca_file: str
    dns: str


@pytest.fixture
def pebble(tmp_path: Path, unused_port: Callable[[], int]) -> Iterator[Callable[[int], Pebble]]:
    if find_program("pebble") is None or find_program("pebble-challtestsrv") is None:
        pytest.skip("needs pebble (apt-get install pebble)")
    running: list[subprocess.Popen[bytes]] = []

    def start(http_port: int) -> Pebble:
        listen, manage, dns, control = (unused_port() for _ in range(4))
        pem = x509.self_signed(("localhost",))
        for name in ("cert.pem", "key.pem"):
            (tmp_path / name).write_bytes(pem)
        settings = {
            "listenAddress": f"127.0.0.1:{listen}",
            "managementListenAddress": f"127.0.0.1:{manage}",
            "certificate": str(tmp_path / "cert.pem"),
            "privateKey": str(tmp_path / "key.pem"),
            "httpPort": http_port,
            "tlsPort": unused_port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
        }
        (tmp_path / "pebble.json").write_text(json.dumps({"pebble": settings}))
        off = ["-http01", "", "-https01", "", "-tlsalpn01", ""]
        resolver = ["-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{control}", "-defaultIPv6", ""]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        running.append(subprocess.Popen(["pebble-challtestsrv", *resolver, *off], **quiet))  # type: ignore[call-overload]
        server = ["pebble", "-config", str(tmp_path / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}"]
        environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "5"}
        running.append(subprocess.Popen(server, env=environment, **quiet))  # type: ignore[call-overload]
        _await_tls(listen)
        return Pebble(f"https://localhost:{listen}/dir", str(tmp_path / "cert.pem"), f"http://127.0.0.1:{control}")

    yield start
    for process in running:
        process.terminate()
        process.wait(5)


@pytest.fixture
def acme(make_world: Any, pebble: Callable[[int], Pebble], unused_port: Callable[[], int]) -> Any:
    """An edge whose HTTP port is where pebble verifies, and pebble."""
    http, https = unused_port(), unused_port()
    server = pebble(http)
    account = {"acme_directory": server.directory, "acme_ca_file": server.ca_file, "acme_email": "a@b.example"}
    world = make_world(http_port=http, https_port=https, **account)
    return world, server, https


def app(world: Any, *hosts: str, dns_hook: str | None = None) -> AppEdge:
    replica = world.replica("web.1")
    routes = tuple(Route(host=host, service="web", port=3000) for host in hosts)
    tls = Tls(mode="acme", dns_hook=dns_hook)
    return AppEdge(instance="shop", routes=routes, upstreams=((WEB, (replica.upstream,)),), tls=tls)


def test_every_host_gets_its_certificate_and_keeps_it(acme: Any) -> None:
    world, _, https = acme
    world.edge.apply(app(world, "shop.example", "www.shop.example"))
    certificates = Certificates(world.edge)
    report = certificates.renew()
    assert (report.problems, report.renewed) == ((), ("shop.example", "www.shop.example"))
    first = shown(https, "shop.example")
    assert first.names == ("shop.example",)
    assert "Pebble" in first.issuer
    assert certificates.renew().renewed == ()
    listed = certificates.listed()
    assert [(one.hosts, one.kind, one.problem) for one in listed] == [
        (("shop.example",), "acme", ""),
        (("www.shop.example",), "acme", ""),
    ]
    world.edge.stop()
    world.edge.ensure_running()
    assert shown(https, "shop.example").serial == first.serial


def test_a_renewal_is_swapped_in_under_load_without_a_failure(acme: Any) -> None:
    world, _, https = acme
    world.edge.apply(app(world, "shop.example"))
    certificates = Certificates(world.edge)
    assert certificates.renew().problems == ()
    load = Load(url=f"https://127.0.0.1:{https}/", connections=8, seconds=60, hosts=("shop.example",))
    client = Client(load).start()
    serials = {shown(https, "shop.example").serial}
    for _ in range(3):
        assert certificates.renew(force=True).renewed == ("shop.example",)
        serials.add(shown(https, "shop.example").serial)
    tally = client.stop()
    assert tally.failed == 0, tally.summary()
    assert len(serials) == 4


def test_one_host_that_cannot_be_verified_waits_and_stops_no_other(acme: Any) -> None:
    world, server, https = acme
    _control(server, "add-a", {"host": "lost.example.", "addresses": ["127.0.0.99"]})
    world.edge.apply(app(world, "lost.example", "shop.example"))
    certificates = Certificates(world.edge)
    report = certificates.renew()
    assert report.renewed == ("shop.example",)
    (problem,) = report.problems
    assert str(problem).startswith("lost.example: the certificate authority could not verify lost.example")
    (lost,) = [one for one in certificates.listed() if one.hosts == ("lost.example",)]
    assert lost.days_left is None
    assert 290 < lost.next_try - time.time() <= 300
    assert certificates.renew().problems == (), "it is left alone until its pause is over"
    assert shown(https, "lost.example").names == ("havre.invalid",)


def test_a_wildcard_is_proven_by_dns(acme: Any, tmp_path: Path) -> None:
    world, server, https = acme
    script = tmp_path / "hook.py"
    script.write_text(HOOK)
    world.edge.apply(app(world, "*.shop.example", dns_hook=f"{sys.executable} {script} {server.dns}"))
    report = Certificates(world.edge).renew()
    assert report.problems == ()
    assert shown(https, "eu.shop.example").names == ("*.shop.example",)


def test_an_authority_that_is_down_is_told_as_such(make_world: Any, unused_port: Callable[[], int]) -> None:
    world = make_world(https_port=unused_port(), acme_directory=f"https://127.0.0.1:{unused_port()}/dir")
    world.edge.apply(app(world, "shop.example"))
    (problem,) = Certificates(world.edge).renew().problems
    assert problem.summary == "the certificate authority cannot be reached (shop.example)"


def _control(server: Pebble, what: str, body: dict[str, object]) -> None:
    urllib.request.urlopen(f"{server.dns}/{what}", data=json.dumps(body).encode()).close()


def _await_tls(port: int) -> None:
    context = ssl._create_unverified_context()
    deadline = time.monotonic() + 10
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as plain, context.wrap_socket(plain):
                return
        except OSError:
            assert time.monotonic() < deadline, "pebble did not start"
            time.sleep(0.05)
