"""Stand-ins for servers whose images cannot be had here: each answers a login as the real one's interface does.

Written after the projects' own descriptions of those interfaces; `knows` is the one login that is let in.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

Login = tuple[str, str]


class _Page(BaseHTTPRequestHandler):
    """What the HTTP stand-ins have in common."""

    server: StandIn

    def answer(self, status: int, body: object = None) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    @property
    def basic(self) -> Login | None:
        """Who asks, by its Authorization header."""
        kind, _, word = self.headers.get("Authorization", "").partition(" ")
        user, _, password = base64.b64decode(word).decode().partition(":")
        return (user, password) if kind == "Basic" else None

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay quiet."""


class StandIn(ThreadingHTTPServer):
    """An HTTP server that knows one login; None where security is off and anybody is let in."""

    knows: Login | None = None
    prefix = ""
    """Where its pages begin."""


class Grafana(_Page):
    """`/api/user` with basic authentication."""

    def do_GET(self) -> None:
        if self.path != "/api/user":
            self.answer(404, {"message": "Not found"})
        elif self.basic == self.server.knows:
            self.answer(200, {"id": 1, "login": "admin", "isGrafanaAdmin": True})
        else:
            self.answer(401, {"message": "Invalid username or password", "statusCode": 401})


class Keycloak(_Page):
    """The token endpoint of the realm `master`, which wants a form; before release 17 it stood below /auth."""

    refusal: tuple[int, dict[str, str]] = (
        401,
        {"error": "invalid_grant", "error_description": "Invalid user credentials"},
    )

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if self.path != f"{self.server.prefix}/realms/master/protocol/openid-connect/token":
            self.answer(404, {"error": "Unable to find matching target resource method"})
        elif form["grant_type"] != ["password"] or form["client_id"] != ["admin-cli"]:
            self.answer(400, {"error": "unsupported_grant_type"})
        elif (form["username"][0], form["password"][0]) == self.server.knows:
            self.answer(200, {"access_token": "x", "expires_in": 60})
        else:
            self.answer(*self.refusal)


class KeycloakThatWantsTls(Keycloak):
    """`sslRequired: all`: it does not even look at the password."""

    refusal = (403, {"error": "invalid_request", "error_description": "HTTPS required"})


class Elasticsearch(_Page):
    """`/` says who it is; where security is off there is no `/_security`, and anybody is answered."""

    def do_GET(self) -> None:
        if self.path != "/":
            self.answer(400, {"error": f"no handler found for uri [{self.path}] and method [GET]"})
        elif self.server.knows is None or self.basic == self.server.knows:
            self.answer(200, {"cluster_name": "docker-cluster", "tagline": "You Know, for Search"})
        else:
            self.answer(401, {"error": {"type": "security_exception"}, "status": 401})


@contextlib.contextmanager
def serving(
    page: type[_Page], *, knows: Login | None = None, prefix: str = "", certificate: Path | None = None
) -> Iterator[int]:
    """The port of a stand-in; with `certificate` it speaks TLS only."""
    with StandIn(("127.0.0.1", 0), page) as server:
        server.knows, server.prefix = knows, prefix
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        yield from _run(server)


@contextlib.contextmanager
def rabbitmq(*, knows: Login, says_why: bool = True) -> Iterator[int]:
    """The port of a server that speaks AMQP 0-9-1 up to the login, and then as RabbitMQ does."""

    class Link(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            if self.rfile.read(8) != b"AMQP\0\0\x09\x01":
                self.wfile.write(b"AMQP\0\0\x09\x01")
                return
            self.wfile.write(_method(10, 10, b"\0\x09" + _long(b"") + _long(b"PLAIN AMQPLAIN") + _long(b"en_US")))
            if _login(self.rfile) == knows:
                self.wfile.write(_method(10, 30, struct.pack(">HIH", 2047, 131072, 60)))
            elif says_why:
                self.wfile.write(_method(10, 50, b"\x01\x93" + b"\x0eACCESS_REFUSED" + b"\0\0\0\0"))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Link) as server:
        yield from _run(server)


@contextlib.contextmanager
def mail_server() -> Iterator[int]:
    """The port of a server that speaks first, and another language."""

    class Greeting(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 mail.example.org ESMTP\r\n")
            self.rfile.read(8)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeting) as server:
        yield from _run(server)


def _run(server: socketserver.TCPServer) -> Iterator[int]:
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def _method(kind: int, name: int, arguments: bytes) -> bytes:
    body = struct.pack(">HH", kind, name) + arguments
    return struct.pack(">BHI", 1, 0, len(body)) + body + b"\xce"


def _long(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def _login(stream: object) -> Login:
    """The user and password of a Start-Ok whose frame, table and strings are whole."""
    read = stream.read  # type: ignore[attr-defined]
    kind, channel, length = struct.unpack(">BHI", read(7))
    body, end = read(length), read(1)
    assert (kind, channel, body[:4], end) == (1, 0, b"\0\x0a\0\x0b", b"\xce")
    (table,) = struct.unpack(">I", body[4:8])
    rest = body[8 + table :]
    assert rest[: rest[0] + 1] == b"\x05PLAIN"
    (size,) = struct.unpack(">I", rest[6:10])
    assert rest[10 + size :] == b"\x05en_US"
    _, user, password = rest[10 : 10 + size].decode().split("\0")
    return user, password
