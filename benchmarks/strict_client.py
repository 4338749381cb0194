"""Load without mercy: every reset, early close, error status, wrong length and timeout is counted as a failure.

    python benchmarks/strict_client.py http://127.0.0.1:8080/ --connections 64 --seconds 10

prints one JSON object and exits 1 when anything failed. A connection that the server closes between two requests
is only forgiven when the answer before it announced `Connection: close`: everything else is a visitor's error page.
One thread and epoll drive all connections, so that the client leaves the processor to what it measures.
"""

from __future__ import annotations

import argparse
import json
import random
import select
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_SAMPLES = 200_000


@dataclass(frozen=True, kw_only=True)
class Load:
    """What to send: `paths` and `hosts` are taken in turn, `post_share` of the requests carry a body."""

    url: str
    connections: int = 64
    seconds: float = 10.0
    requests: int | None = None
    post_share: float = 0.3
    body_sizes: tuple[int, ...] = (16, 1024, 16384, 65536)
    timeout: float = 20.0
    think: tuple[float, float] = (0.0, 0.0)
    """Seconds that half of the connections wait between two requests, at random within the range."""
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    expected: tuple[int, ...] = ()
    """Status codes that are right; empty means everything below 400 (a route that is lost answers 404)."""
    seed: int = 1


@dataclass(kw_only=True)
class Tally:
    """What came of it."""

    requests: int = 0
    failed: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    slowest: float = 0.0
    seconds: float = 0.0

    def ok(self, status: int, took: float) -> None:
        """One good answer."""
        self.requests += 1
        self.statuses[status] += 1
        self.slowest = max(self.slowest, took)
        if len(self.latencies) < _SAMPLES:
            self.latencies.append(took)
        else:
            self.latencies[self.requests % _SAMPLES] = took

    def fail(self, kind: str, what: str) -> None:
        """One failure, with the first few told in full."""
        self.requests += 1
        self.failed += 1
        self.kinds[kind] += 1
        if len(self.examples) < 10:
            self.examples.append(f"{kind}: {what}"[:300])

    def summary(self) -> dict[str, object]:
        """As one JSON object."""
        ordered = sorted(self.latencies)

        def percentile(share: float) -> float:
            return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else 0.0

        return {
            "requests": self.requests,
            "failed": self.failed,
            "kinds": dict(self.kinds),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "per_second": round(self.requests / self.seconds, 1) if self.seconds else 0.0,
            "p50_ms": percentile(0.50),
            "p99_ms": percentile(0.99),
            "slowest_ms": round(1000 * self.slowest, 1),
            "seconds": round(self.seconds, 2),
            "examples": self.examples,
        }


class _Connection:
    """One visitor: connect, ask, read the whole answer, think, ask again."""

    __slots__ = ("asked", "closing", "handshaking", "inbox", "method", "must_wait", "outbox", "sock", "state", "wake")

    def __init__(self, *, must_wait: bool) -> None:
        self.must_wait = must_wait
        self.sock: socket.socket | None = None
        self.state = "closed"
        self.inbox = bytearray()
        self.outbox = memoryview(b"")
        self.asked = 0.0
        self.wake = 0.0
        self.method = "GET"
        self.closing = False
        self.handshaking = False


class Client:
    """Runs a Load; `stop` ends it early (every request under way is still waited for)."""

    def __init__(self, load: Load) -> None:
        self.tally = Tally()
        self._load = load
        self._target = urlsplit(load.url)
        self._random = random.Random(load.seed)
        self._epoll = select.epoll()
        self._by_number: dict[int, _Connection] = {}
        self._asking = threading.Event()
        self._asking.set()
        self._thread: threading.Thread | None = None
        self._sent = 0
        self._tls = _context() if self._target.scheme == "https" else None
        self._requests = self._prepared()

    def start(self) -> Client:
        """Run in the background."""
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> Tally:
        """Ask no more, wait for what is under way, and tell."""
        self._asking.clear()
        if self._thread is not None:
            self._thread.join()
        return self.tally

    def run(self) -> Tally:
        """Run to the end."""
        started = time.monotonic()
        deadline = started + self._load.seconds
        visitors = [_Connection(must_wait=number % 2 == 1) for number in range(self._load.connections)]
        for visitor in visitors:
            self._open(visitor)
        swept = started
        while self._by_number or any(visitor.state == "thinking" for visitor in visitors):
            now = time.monotonic()
            if now >= deadline or (self._load.requests is not None and self._sent >= self._load.requests):
                self._asking.clear()
            for number, events in self._epoll.poll(0.005 if self._load.think[1] else 0.05):
                visitor_ready = self._by_number.get(number)
                if visitor_ready is not None:
                    self._advance(visitor_ready, events)
            if now - swept > 0.005:
                self._sweep(visitors, now)
                swept = now
        self._epoll.close()
        self.tally.seconds = time.monotonic() - started
        return self.tally

    # ------------------------------------------------------------ one connection

    def _open(self, visitor: _Connection) -> None:
        address = (self._target.hostname or "127.0.0.1", self._target.port or (443 if self._tls else 80))
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        visitor.asked = time.monotonic()
        sock.connect_ex(address)
        visitor.handshaking = self._tls is not None
        if self._tls is not None:
            name = self._load.hosts[0] if self._load.hosts else self._target.hostname
            sock = self._tls.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False)
        visitor.sock, visitor.state, visitor.closing = sock, "connecting", False
        visitor.inbox.clear()
        self._by_number[sock.fileno()] = visitor
        self._epoll.register(sock.fileno(), select.EPOLLOUT | select.EPOLLIN)

    def _close(self, visitor: _Connection) -> None:
        if visitor.sock is not None:
            self._by_number.pop(visitor.sock.fileno(), None)
            self._epoll.unregister(visitor.sock.fileno())
            visitor.sock.close()
        visitor.sock, visitor.state = None, "closed"

    def _advance(self, visitor: _Connection, events: int) -> None:
        try:
            if visitor.state == "connecting":
                self._connected(visitor)
            elif visitor.state == "asking":
                self._send(visitor)
                if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                    self._receive(visitor)
            else:
                self._receive(visitor)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return
        except OSError as error:
            self._broken(visitor, type(error).__name__, str(error))

    def _connected(self, visitor: _Connection) -> None:
        assert visitor.sock is not None
        if visitor.handshaking:
            visitor.sock.do_handshake()  # type: ignore[attr-defined]
            visitor.handshaking = False
        else:
            error = visitor.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, "connect")
        self._ask(visitor)

    def _ask(self, visitor: _Connection) -> None:
        if not self._asking.is_set():
            self._close(visitor)
            return
        visitor.method, request = self._requests[self._random.randrange(len(self._requests))]
        visitor.outbox = memoryview(request)
        visitor.asked = time.monotonic()
        visitor.state = "asking"
        self._sent += 1
        self._send(visitor)

    def _send(self, visitor: _Connection) -> None:
        assert visitor.sock is not None
        while visitor.outbox:
            try:
                visitor.outbox = visitor.outbox[visitor.sock.send(visitor.outbox) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._epoll.modify(visitor.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)
                return
        visitor.state = "waiting"
        self._epoll.modify(visitor.sock.fileno(), select.EPOLLIN)

    def _receive(self, visitor: _Connection) -> None:
        assert visitor.sock is not None
        while True:
            data = visitor.sock.recv(262144)
            if not data:
                self._ended(visitor)
                return
            visitor.inbox += data
            answer = _answer(visitor.inbox)
            if answer is not None:
                self._answered(visitor, *answer)
                return

    def _ended(self, visitor: _Connection) -> None:
        if visitor.state == "thinking":
            self._broken(visitor, "closed-idle", "the server closed an idle keep-alive connection")
        else:
            self._broken(visitor, "closed-early", f"{visitor.method}: closed after {len(visitor.inbox)} bytes")

    def _answered(self, visitor: _Connection, status: int, used: int, closing: bool) -> None:
        took = time.monotonic() - visitor.asked
        wrong = status not in self._load.expected if self._load.expected else status >= 400
        if visitor.state == "asking" or len(visitor.inbox) != used:
            self._broken(visitor, "answered-early", f"{visitor.method}: status {status} before the request's end")
            return
        if wrong:
            self.tally.fail(f"status-{status}", bytes(visitor.inbox[:120]).decode(errors="replace"))
        else:
            self.tally.ok(status, took)
        visitor.inbox.clear()
        if closing:
            self._close(visitor)
            self._reopen(visitor)
        else:
            self._think(visitor)

    def _think(self, visitor: _Connection) -> None:
        low, high = self._load.think
        if not visitor.must_wait or high <= 0:
            self._ask(visitor)
            return
        visitor.state = "thinking"
        visitor.wake = time.monotonic() + self._random.uniform(low, high)

    def _broken(self, visitor: _Connection, kind: str, what: str) -> None:
        self.tally.fail(kind, what)
        self._close(visitor)
        self._reopen(visitor)

    def _reopen(self, visitor: _Connection) -> None:
        if self._asking.is_set():
            self._open(visitor)

    def _sweep(self, visitors: Sequence[_Connection], now: float) -> None:
        for visitor in visitors:
            if visitor.state == "thinking" and (now >= visitor.wake or not self._asking.is_set()):
                self._guarded_ask(visitor)
            elif visitor.state in {"connecting", "asking", "waiting"} and now - visitor.asked > self._load.timeout:
                self._broken(visitor, "timeout", f"{visitor.method}: no answer in {self._load.timeout} s")

    def _guarded_ask(self, visitor: _Connection) -> None:
        try:
            self._ask(visitor)
        except OSError as error:
            self._broken(visitor, type(error).__name__, str(error))

    def _prepared(self) -> list[tuple[str, bytes]]:
        """A few hundred requests made in advance, in the right proportions."""
        hosts = self._load.hosts or (self._target.netloc,)
        paths = self._load.paths or (self._target.path or "/",)
        prepared = []
        for number in range(max(200, len(hosts))):
            head = f"{paths[number % len(paths)]} HTTP/1.1\r\nHost: {hosts[number % len(hosts)]}\r\n"
            if self._random.random() < self._load.post_share:
                size = self._load.body_sizes[number % len(self._load.body_sizes)]
                text = f"POST {head}Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
                prepared.append(("POST", text.encode() + b"x" * size))
            else:
                prepared.append(("GET", f"GET {head}\r\n".encode()))
        return prepared


def run(load: Load) -> Tally:
    """Run a load to its end."""
    return Client(load).run()


def _answer(inbox: bytearray) -> tuple[int, int, bool] | None:
    """(status, bytes used, will close) once the answer is complete, else None; 1xx answers are skipped."""
    start = 0
    while True:
        end = inbox.find(b"\r\n\r\n", start)
        if end < 0:
            return None
        head = bytes(inbox[start:end]).lower()
        status = int(head[9:12])
        if status >= 200:
            break
        start = end + 4
    closing = b"\r\nconnection: close" in head
    body = end + 4
    if status in {204, 304}:
        return status, body, closing
    position = head.find(b"\r\ncontent-length:")
    if position >= 0:
        size = int(head[position + 17 :].split(b"\r\n", 1)[0])
        return (status, body + size, closing) if len(inbox) >= body + size else None
    if b"transfer-encoding: chunked" in head:
        finish = _chunked_end(inbox, body)
        return None if finish is None else (status, finish, closing)
    return None


def _chunked_end(inbox: bytearray, position: int) -> int | None:
    while True:
        line = inbox.find(b"\r\n", position)
        if line < 0:
            return None
        size = int(bytes(inbox[position:line]).split(b";")[0], 16)
        position = line + 2 + size + 2
        if len(inbox) < position:
            return None
        if size == 0:
            return position


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--requests", type=int, default=None, help="stop after so many")
    parser.add_argument("--post-share", type=float, default=0.3)
    parser.add_argument("--think", type=float, default=0.0, help="half of the connections pause up to so many seconds")
    parser.add_argument("--timeout", type=float, default=20.0)
    parser.add_argument("--host", action="append", default=[], help="Host header; may be given several times")
    given = parser.parse_args(argv)
    tally = run(
        Load(
            url=given.url,
            connections=given.connections,
            seconds=given.seconds,
            requests=given.requests,
            post_share=given.post_share,
            think=(0.0, given.think),
            timeout=given.timeout,
            hosts=tuple(given.host),
        )
    )
    print(json.dumps(tally.summary()))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
