"""Verification against a real HTTP server: what differs is said exactly."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from havre.errors import FailedError
from havre.model.app import Verification
from havre.workflows.execute import Cancellation
from havre.workflows.verify import Target, verify


class App(BaseHTTPRequestHandler):
    """Says who it was asked as, and how it is."""

    def do_GET(self) -> None:
        body = {"status": "degraded", "checks": {"db": "error"}, "host": self.headers["Host"]}
        payload = json.dumps(body).encode() if self.path == "/health" else b"<h1>Bonjour</h1>"
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay quiet."""


@pytest.fixture
def target() -> Iterator[Target]:
    with ThreadingHTTPServer(("127.0.0.1", 0), App) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Target(address="127.0.0.1", port=server.server_address[1])
        server.shutdown()


def run(target: Target, *checks: Verification) -> None:
    verify(checks, target, where="through the edge", default_host="shop.example", cancellation=Cancellation())


def test_an_answer_as_promised_passes(target: Target) -> None:
    run(
        target,
        Verification(path="/", contains="Bonjour"),
        Verification(path="/health", json=(("host", '"shop.example"'), ("checks.db", '"error"'))),
        Verification(path="/missing", status=404),
    )


def test_200_with_an_unhealthy_body_is_no_health(target: Target) -> None:
    with pytest.raises(FailedError) as caught:
        run(target, Verification(path="/health", json=(("status", '"healthy"'),), retries=0))
    (problem,) = caught.value.problems
    assert problem.evidence[0] == '`status` is "degraded" instead of "healthy"'


def test_every_broken_promise_is_reported_at_once(target: Target) -> None:
    with pytest.raises(FailedError) as caught:
        run(
            target,
            Verification(path="/missing", retries=0),
            Verification(path="/", json=(("a", "1"),), retries=0),
            Verification(path="/", contains="Hello", retries=0),
        )
    assert [problem.evidence[0] for problem in caught.value.problems] == [
        "status 404 instead of 200",
        "the body is not JSON",
        "the body does not contain 'Hello'",
    ]


def test_a_closed_port_is_told_as_no_answer() -> None:
    with pytest.raises(FailedError, match="no answer"):
        run(Target(address="127.0.0.1", port=1), Verification(path="/", retries=0))
