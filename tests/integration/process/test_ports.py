"""A port that a service needs, and a stranger has: known before anything starts, unless it is not in the way."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import run_havre
from ending import end_helpers

from havre.workflows.demo import free_port

pytestmark = pytest.mark.process

SERVER = """\
import http.server, os
address = os.environ["HOST"], int(os.environ["PORT"])
http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Path]:
    """A service that is called through the edge, at a port that is free."""
    port = free_port(32400)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "server.yaml").write_text(
        f"http_port: {free_port(32500)}\nhttps_port: 0\nbind: [127.0.0.1]\n"
    )
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text(SERVER)
    (tmp_path / "src" / "Procfile").write_text("web: python3 app.py\n")
    (tmp_path / "compose.yaml").write_text(
        f"services: {{web: {{build: ./src, expose: ['{port}'], stop_grace_period: 0s}}}}"
    )
    (tmp_path / "havre.yaml").write_text(
        f"app: shop\nengine: process\nroutes: [{{host: shop.localhost, to: 'web:{port}'}}]\n"
    )
    yield tmp_path
    run_havre(tmp_path, "down", "-y", check=False)
    end_helpers(tmp_path / "state")


def _port(shop: Path) -> int:
    return int((shop / "compose.yaml").read_text().split("'")[1])


def test_a_stranger_on_every_address_is_named_and_nothing_is_touched(shop: Path) -> None:
    with socket.create_server(("0.0.0.0", _port(shop))):
        refused = run_havre(shop, "deploy", "-y", check=False)
    said = " ".join(f"{refused.stdout}{refused.stderr}".split())
    assert refused.returncode == 3, said
    assert f"port {_port(shop)}/tcp, which shop/web needs, is held by pid {os.getpid()} (" in said
    assert not (shop / "state" / "process" / "replicas").exists()


def test_a_stranger_on_an_address_of_its_own_is_in_nobodys_way(shop: Path) -> None:
    with socket.create_server(("127.0.0.1", _port(shop))):
        assert "serves" in run_havre(shop, "deploy", "-y").stdout
