"""The client against a small HTTP server on a socket, for what a healthy engine never does."""

from __future__ import annotations

import http.server
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from havre.engines.docker import client as client_module
from havre.engines.docker.client import DockerClient
from havre.errors import FailedError, InputError, UnavailableError


class Replies(http.server.BaseHTTPRequestHandler):
    """Answers /_ping with a version, and everything else as the test says."""

    protocol_version = "HTTP/1.1"
    version = "1.43"
    seen: list[str]
    script: list[Any]

    def do_GET(self) -> None:
        if self.path == "/_ping":
            self.reply(200, b"OK")
            return
        self.seen.append(self.path)
        found = self.script.pop(0) if self.script else (200, b"{}")
        if found == "hang up":
            self.close_connection = True
            return
        self.reply(*found)

    do_POST = do_GET  # noqa: N815

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Api-Version", self.version)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "socket"

    def log_message(self, *args: object) -> None:
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Ends its connections with itself, as an engine that stops does."""

    daemon_threads = True

    def __init__(self, path: str, handler: type[Replies]) -> None:
        self._connections: list[Any] = []
        super().__init__(path, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is what some tests are about."""

    def server_close(self) -> None:
        super().server_close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving(path: Path, *script: Any, version: str = "1.43") -> Iterator[list[str]]:
    seen: list[str] = []
    handler = type("Scripted", (Replies,), {"seen": seen, "script": list(script), "version": version})
    server = Server(str(path), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        path.unlink()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "docker.sock"


@pytest.mark.parametrize(("theirs", "spoken"), [("1.41", "/v1.41/"), ("1.43", "/v1.43/"), ("1.99", "/v1.47/")])
def test_the_newest_version_that_both_know_is_spoken(path: Path, theirs: str, spoken: str) -> None:
    with serving(path, version=theirs) as seen:
        DockerClient(f"unix://{path}").get("/version", doing="ask")

    assert seen == [f"{spoken}version"]


@pytest.mark.parametrize("theirs", ["1.40", "1.5", "", "new"])
def test_an_engine_that_is_too_old_is_refused(path: Path, theirs: str) -> None:
    with serving(path, version=theirs), pytest.raises(UnavailableError, match="too old"):
        DockerClient(f"unix://{path}").get("/version", doing="ask")


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (None, "unix:///var/run/docker.sock"),
        ("", "unix:///var/run/docker.sock"),
        ("/run/user/1000/docker.sock", "unix:///run/user/1000/docker.sock"),
        ("tcp://10.0.0.1:2375", "tcp://10.0.0.1:2375"),
    ],
)
def test_addresses_that_can_be_used(given: str | None, used: str) -> None:
    assert DockerClient(given).host == used


def test_an_address_that_cannot_be_used_is_told_at_once() -> None:
    with pytest.raises(InputError, match="DOCKER_HOST=ssh://me@server"):
        DockerClient("ssh://me@server")


def test_parameters_are_quoted_and_repeated(path: Path) -> None:
    query = {"all": True, "none": None, "filters": {"a": ["b"]}, "t": ("x:1", "y"), "n": 3}
    with serving(path) as seen:
        DockerClient(f"unix://{path}").get("/a b/c", query, doing="ask")

    assert seen == ["/v1.43/a%20b/c?all=true&filters=%7B%22a%22%3A%5B%22b%22%5D%7D&t=x%3A1&t=y&n=3"]


def test_one_connection_serves_many_calls_of_a_thread(path: Path) -> None:
    with serving(path):
        client = DockerClient(f"unix://{path}")
        client.get("/a", doing="ask")
        first = client._local.kept
        client.get("/b", doing="ask")

        assert client._local.kept is first
        assert client.calls == 3


def test_a_question_is_asked_again_when_the_engine_hangs_up(path: Path) -> None:
    with serving(path, "hang up", "hang up", (200, b'{"a":1}')) as seen:
        assert DockerClient(f"unix://{path}").get("/a", doing="ask") == {"a": 1}

    assert len(seen) == 3


def test_a_deed_is_never_repeated_by_itself(path: Path) -> None:
    with serving(path, "hang up") as seen:
        client = DockerClient(f"unix://{path}")
        with pytest.raises(UnavailableError, match="does not answer"):
            client.post("/containers/create", {}, doing="create it")

    assert len(seen) == 1


def test_a_connection_that_the_engine_closed_meanwhile_is_not_used(path: Path) -> None:
    client = DockerClient(f"unix://{path}")
    with serving(path):
        client.get("/a", doing="ask")
    with serving(path, (201, b'{"Id":"x"}')):
        assert client.post("/b", {}, doing="do it").json() == {"Id": "x"}


def test_an_engine_that_stays_away_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "PATIENCE", 0.3)
    client = DockerClient(f"unix://{path}")
    with serving(path):
        client.get("/a", doing="ask")

    with pytest.raises(UnavailableError, match="could not count the stars"):
        client.get("/a", doing="count the stars")


def test_an_engine_that_comes_back_is_waited_for(path: Path) -> None:
    client = DockerClient(f"unix://{path}")
    with serving(path):
        client.get("/a", doing="ask")
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(client.get("/b", doing="ask")))
    asking.start()

    with serving(path, (200, b'{"back":true}')):
        asking.join(5)

    assert answers == [{"back": True}]


def test_a_slow_answer_has_its_own_message(path: Path) -> None:
    wait = threading.Event()

    class Slow(Replies):
        seen: list[str] = []  # noqa: RUF012
        script: list[Any] = []  # noqa: RUF012

        def do_POST(self) -> None:
            wait.wait(5)
            self.close_connection = True

    server = Server(str(path), Slow)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        with pytest.raises(UnavailableError, match=r"did not answer within 0\.2 s"):
            DockerClient(f"unix://{path}").post("/x", {}, doing="stop it", timeout=0.2)
    finally:
        wait.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_missing_thing_is_none_and_other_refusals_are_errors(path: Path) -> None:
    with serving(path, (404, b'{"message":"no such thing"}'), (404, b'{"message":"no such thing"}')):
        client = DockerClient(f"unix://{path}")
        assert client.find("/a", doing="look") is None
        with pytest.raises(FailedError, match="no such thing"):
            client.get("/a", doing="look")


def test_messages_of_a_stream_are_whole_wherever_it_is_cut(path: Path) -> None:
    body = b'{"stream":"a"}\n{"stream":"b"}\r\n\n{"aux":{"ID":"x"}}'
    with serving(path, (200, body)):
        client = DockerClient(f"unix://{path}")
        with client.stream("GET", "/events", doing="listen") as stream:
            assert list(stream.messages()) == [{"stream": "a"}, {"stream": "b"}, {"aux": {"ID": "x"}}]


def test_the_refusal_of_a_stream_is_explained(path: Path) -> None:
    with serving(path, (500, b'{"message":"no space left on device"}')):
        client = DockerClient(f"unix://{path}")
        with pytest.raises(FailedError, match="the disk is full"), client.stream("POST", "/build", doing="build"):
            pass
