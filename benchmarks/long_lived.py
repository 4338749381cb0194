"""Websockets and event streams that are open while their service is released: for how long does each live on?

A small app beside the others talks to its visitors: a websocket echoes, an event stream ticks. A release must leave
both open until the replica's drain limit (`stop_grace_period`), while new visitors reach the new version at once.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HOST = "talk.localhost"
DRAIN = 8.0
EACH = 16
"""Visitors of each kind."""
TICK = 0.1
SERVER = """
import base64, hashlib, http.server, os, signal, time

VERSION = os.environ["VERSION"]
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/live":
            return self.talk()
        if self.path == "/events":
            return self.tick()
        body = VERSION.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def talk(self):
        key = self.headers["Sec-WebSocket-Key"].encode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key + MAGIC).digest()).decode())
        self.end_headers()
        while heard := self.connection.recv(4096):
            self.connection.sendall(heard)
        self.close_connection = True

    def tick(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        while True:
            self.wfile.write(b"data: " + VERSION.encode() + b"\\n\\n")
            self.wfile.flush()
            time.sleep(0.1)

    def log_message(self, *args):
        pass


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
address = os.environ.get("HOST", "0.0.0.0"), int(os.environ["TALK_PORT"])
http.server.ThreadingHTTPServer(address, Handler).serve_forever()
"""
PROBE = """
import os, urllib.request
urllib.request.urlopen(f"http://{os.environ.get('HOST', '127.0.0.1')}:{os.environ['TALK_PORT']}/")
"""
COMPOSE = """\
services:
  talk:
    build: {{context: app}}
    environment: {{VERSION: "{version}", TALK_PORT: "3000"}}
    expose: ["3000"]
    stop_grace_period: {drain:g}s
    mem_limit: 128m
    restart: unless-stopped
    healthcheck:
      test: ["CMD", "python", "/app/probe.py"]
      interval: 5s
"""


@dataclass
class Visitor:
    """One connection: how often it was answered, and when it was cut (monotonic seconds)."""

    kind: str
    answers: int = 0
    ended_at: float | None = None


@dataclass
class Outcome:
    """`lived` are the seconds from the switch to the end of each connection, `early` those that were cut before."""

    messages: int = 0
    lived: list[float] = field(default_factory=list)

    @property
    def early(self) -> int:
        """How many were cut before the drain limit (less what the visitors' own clock may be off)."""
        return sum(seconds < DRAIN - 0.5 for seconds in self.lived)


def write(directory: Path, name: str, version: str) -> None:
    """The app, in that version."""
    app = directory / "app"
    app.mkdir(parents=True, exist_ok=True)
    (app / "server.py").write_text(SERVER)
    (app / "probe.py").write_text(PROBE)
    (app / "Dockerfile").write_text('FROM python:3.11-slim\nWORKDIR /app\nCOPY . .\nCMD ["python", "/app/server.py"]\n')
    (app / "requirements.txt").write_text("")
    (directory / "compose.yaml").write_text(COMPOSE.format(version=version, drain=DRAIN))
    (directory / "havre.yaml").write_text(f"app: {name}\nroutes:\n  - {{host: {HOST}, to: talk:3000}}\n")


def measure(directory: Path, name: str, port: int, deploy: Callable[[], object]) -> Outcome:
    """Release version 2 over version 1, which serves, under open connections."""
    with _visitors(port) as visitors:
        time.sleep(1.0)
        write(directory, name, "2")
        release = threading.Thread(target=deploy)
        release.start()
        switched = _await_version(port, "2")
        release.join()
        deadline = time.monotonic() + DRAIN
        while any(one.ended_at is None for one in visitors) and time.monotonic() < deadline:
            time.sleep(0.05)
        outcome = Outcome(messages=sum(one.answers for one in visitors))
        outcome.lived = [round((one.ended_at or time.monotonic()) - switched, 2) for one in visitors]
        assert all(one.answers for one in visitors), "some visitor was never answered"
        return outcome


@contextmanager
def _visitors(port: int) -> Iterator[list[Visitor]]:
    stop = threading.Event()
    visitors = [Visitor("websocket") for _ in range(EACH)] + [Visitor("events") for _ in range(EACH)]
    talk = {"websocket": _talk, "events": _listen}
    threads = [threading.Thread(target=talk[one.kind], args=(one, port, stop)) for one in visitors]
    for thread in threads:
        thread.start()
    try:
        yield visitors
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _talk(visitor: Visitor, port: int, stop: threading.Event) -> None:
    """Say something again and again; what comes back must be the same."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(
            f"GET /live HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert b" 101 " in connection.recv(4096)
        while not stop.wait(TICK):
            said = b"%08d" % visitor.answers
            try:
                connection.sendall(said)
                heard = connection.recv(4096)
            except OSError:
                heard = b""
            if heard != said:
                visitor.ended_at = time.monotonic()
                return
            visitor.answers += 1


def _listen(visitor: Visitor, port: int, stop: threading.Event) -> None:
    """Count the events; one must come every tick."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/events", headers={"Host": HOST})
    answer = connection.getresponse()
    while not stop.is_set():
        try:
            line = answer.readline()
        except OSError:
            line = b""
        if not line:
            visitor.ended_at = time.monotonic()
            break
        visitor.answers += line.startswith(b"data:")
    answer.close()
    connection.close()


def _await_version(port: int, version: str) -> float:
    """When a new visitor is answered by that version for the first time."""
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/", headers={"Host": HOST})
        told = connection.getresponse().read().decode()
        connection.close()
        if told == version:
            return time.monotonic()
        time.sleep(0.02)
