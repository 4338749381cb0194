"""Row C2: the maicivy stack, every service on the port of the guide (site, backend and Grafana are stand-ins)."""

from __future__ import annotations

import json
import os
import socket
import urllib.request
from collections.abc import Iterator

import pytest
from guides import HEALTHCHECK, GuideApp, new_app, remove

pytestmark = pytest.mark.docker
ADDRESS = f"127.83.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
"""An address of this machine that nobody else uses: the ports are the guide's own."""

WEB = {"frontend": 3000, "backend": 8080, "grafana": 3001}
INSIDE = {"frontend": 3000, "backend": 8080, "postgres": 5432, "redis": 6379, "prometheus": 9090, "grafana": 3000,
          "node-exporter": 9100}  # fmt: skip
GUIDE = {**INSIDE, **WEB}


def service(name: str, rest: str) -> str:
    kept = "restart: unless-stopped, stop_grace_period: 1s, mem_limit: 192m, logging: {driver: local}"
    return f'  {name}: {{{rest}, ports: ["{ADDRESS}:{GUIDE[name]}:{INSIDE[name]}"], {kept}}}\n'


def standing_in(name: str) -> str:
    check = HEALTHCHECK.replace(":8000/", f":{INSIDE[name]}/")
    return service(name, f"build: program, environment: {{NAME: {name}, PORT: '{INSIDE[name]}'}}, "
                   f"healthcheck: {{test: {check}, interval: 2s, retries: 9}}")  # fmt: skip


COMPOSE = "services:\n" + "".join(
    [
        *(standing_in(name) for name in WEB),
        service("postgres", "image: 'postgres:15-alpine', environment: {POSTGRES_PASSWORD: '${POSTGRES_PASSWORD}'}"),
        service("redis", "image: 'redis:7-alpine'"),
        service("prometheus", "image: 'prom/prometheus:latest'"),
        service("node-exporter", "image: 'prom/node-exporter:latest'"),
    ]
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuideApp]:
    app = new_app(tmp_path_factory.mktemp("ports") / "app", "ports", tls=False, first_port=31900)
    app.write({"compose.yaml": COMPOSE, "havre.yaml": f"app: {app.name}\n", ".env": "POSTGRES_PASSWORD=f3a9c1d27be4\n"})
    app.deploy()
    yield app
    remove(app)


def first_answer(port: int, sent: bytes) -> bytes:
    with socket.create_connection((ADDRESS, port), timeout=10) as link:
        link.sendall(sent)
        return link.recv(64)


def test_every_service_answers_in_its_own_protocol_on_the_port_of_the_guide(stack: GuideApp) -> None:
    pages = {**dict.fromkeys(WEB.values(), "/health"), 9090: "/-/ready", 9100: "/metrics"}
    for port, page in pages.items():
        with urllib.request.urlopen(f"http://{ADDRESS}:{port}{page}", timeout=10) as answer:
            assert answer.status == 200, page
    assert first_answer(6379, b"PING\r\n") == b"+PONG\r\n"
    assert first_answer(5432, b"\x00\x00\x00\x08\x04\xd2\x16\x2f") == b"N", "PostgreSQL answers whether it speaks TLS"


def test_the_servers_book_has_each_port_with_its_service(stack: GuideApp) -> None:
    taken = json.loads(stack.havre("ports", "--json").stdout)["ports"]
    assert {one["port"] for one in taken if one["address"] == ADDRESS} >= set(GUIDE.values())
