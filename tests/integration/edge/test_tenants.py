"""One edge in front of all apps of a server, with what a new server has: ports 80 and 443, no settings at all."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from command import run_havre
from ending import end_helpers
from own_network import own_network
from tls_visitor import shown

import long_lived
from havre.host.commands import find_program

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(os.geteuid() != 0, reason="a network of its own, and ports below 1024, need root"),
]
OUTSIDE = "10.123.0.1"
TENANTS = ("lexikon", "app2", "monitoring")


@dataclass(frozen=True)
class Server:
    """The state directory and each tenant's directory below it."""

    home: Path

    def directory(self, tenant: str) -> Path:
        return self.home / tenant


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Three tenants, each deployed by the command; `monitoring` also publishes 3010, as its Compose file says."""
    made = Server(tmp_path_factory.mktemp("server"))
    state = ("--state", str(made.home / "state"))
    with own_network(OUTSIDE):
        for tenant in TENANTS:
            _write(made.directory(tenant), tenant)
            run_havre(
                made.directory(tenant), "deploy", "-y", "--engine", "process", "--state", str(made.home / "state")
            )
        yield made
        for tenant in TENANTS:
            run_havre(made.directory(tenant), "down", "-y", *state, check=False)
        end_helpers(made.home / "state")


def test_each_host_leads_to_its_own_tenant_with_its_own_certificate(server: Server) -> None:
    for tenant in TENANTS:
        assert _ask(tenant, "/").read() == tenant.encode()
        assert shown(443, f"{tenant}.localhost").names == (f"{tenant}.localhost",)


def test_without_tls_nobody_is_served_anything_but_the_way_to_it(server: Server) -> None:
    for tenant in TENANTS:
        connection = http.client.HTTPConnection(OUTSIDE, 80, timeout=5)
        connection.request("GET", "/a?b=c", headers={"Host": f"{tenant}.localhost"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Location"]) == (301, f"https://{tenant}.localhost/a?b=c")
        connection.close()
        assert _ask(tenant, "/").headers["Strict-Transport-Security"] == "max-age=31536000"


def test_monitoring_is_reached_by_websocket_through_tls_and_on_its_published_port(server: Server) -> None:
    with _secured("monitoring") as visitor:
        visitor.sendall(
            b"GET /live HTTP/1.1\r\nHost: monitoring.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert b" 101 " in visitor.recv(4096)
        visitor.sendall(b"up?")
        assert visitor.recv(4096) == b"up?"
    published = http.client.HTTPConnection(OUTSIDE, 3010, timeout=5)
    published.request("GET", "/")
    assert published.getresponse().read() == b"monitoring"
    published.close()


def test_the_configuration_is_a_main_file_and_one_for_each_app(server: Server) -> None:
    directory = server.home / "state/edge/conf"
    names = sorted(path.name for path in directory.iterdir())
    assert names == ["00-edge.cfg", "50-spares.cfg", *sorted(f"app-{tenant}.cfg" for tenant in TENANTS)]
    haproxy = find_program("haproxy")
    assert haproxy is not None
    subprocess.run([haproxy, "-c", "-f", str(directory)], check=True, capture_output=True)


def _write(directory: Path, tenant: str) -> None:
    long_lived.write(directory, tenant, tenant)
    manifest, compose = directory / "havre.yaml", directory / "compose.yaml"
    manifest.write_text(manifest.read_text().replace(long_lived.HOST, f"{tenant}.localhost"))
    if tenant == "monitoring":
        manifest.write_text(manifest.read_text().replace("talk:3000", "talk:3001"))
        text = compose.read_text().replace('expose: ["3000"]', 'ports: ["3010:3001"]')
        compose.write_text(text.replace('TALK_PORT: "3000"', 'TALK_PORT: "3001"'))


def _ask(tenant: str, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(f"{tenant}.localhost", 443, timeout=5)
    connection.sock = _secured(tenant)
    connection.request("GET", path, headers={"Connection": "close"})
    return connection.getresponse()


def _secured(tenant: str) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection((OUTSIDE, 443), timeout=5)
    return context.wrap_socket(plain, server_hostname=f"{tenant}.localhost")
