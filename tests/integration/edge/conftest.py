"""A real HAProxy and real replicas on addresses of the loopback network."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.client
import json
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from havre.edge.haproxy import Edge
from havre.edge.runner import ProcessRunner
from havre.host.commands import find_program
from havre.model.route import AppEdge, EdgeSettings, Route, Upstream


class Replica:
    """An app's replica: tells what it was asked, can be slow, die of a request, speak websocket."""

    def __init__(self, name: str, address: str, port: int = 0) -> None:
        self.name = name
        self.address = address
        self.asked = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, address, port, limit=1 << 20), self._loop
        )
        self._server = started.result(5)
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def upstream(self) -> Upstream:
        return Upstream(name=self.name, address=self.address, port=self.port)

    def stop(self) -> None:
        """As an app ends on SIGTERM: no new connections, open ones are cut."""
        if self._loop.is_running():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)
            self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request, *fields = head.strip().split("\r\n")
        method, target, _ = request.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in fields)}
        self.asked += 1
        url = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if headers.get("upgrade", "").lower() == "websocket":
            await self._websocket(reader, writer, headers["sec-websocket-key"])
            return False
        received = await _body(reader, headers)
        if "die" in query:
            return False
        if "ms" in query:
            await asyncio.sleep(int(query["ms"]) / 1000)
        told = {"replica": self.name, "method": method, "target": target, "headers": headers, "received": received}
        body = b"a" * int(query["bytes"]) if "bytes" in query else json.dumps(told).encode()
        extra = "".join(f"{key[2:]}: {value}\r\n" for key, value in query.items() if key.startswith("h-"))
        status = query.get("status", "200 OK")
        kind = query.get("type", "application/json")
        answer = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
        writer.write(answer.encode() + (b"" if method == "HEAD" else body))
        await writer.drain()
        return True

    async def _websocket(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
        """Accept, then send back every byte as it comes, with our name before the first."""
        accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
        upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(upgrade.encode() + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        while data := await reader.read(65536):
            writer.write(self.name.encode() + b":" + data)
            await writer.drain()


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> int:
    if headers.get("transfer-encoding") == "chunked":
        total = 0
        while size := int((await reader.readline()).split(b";")[0], 16):
            await reader.readexactly(size + 2)
            total += size
        await reader.readline()
        return total
    length = int(headers.get("content-length", "0"))
    await reader.readexactly(length)
    return length


@dataclass(frozen=True)
class Answer:
    """What a visitor got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, object]:
        """The replica's account of the request."""
        parsed: dict[str, object] = json.loads(self.body)
        return parsed

    @property
    def seen(self) -> dict[str, str]:
        """The headers the replica received."""
        headers = self.told["headers"]
        assert isinstance(headers, dict)
        return headers


Ask = Callable[..., Answer]


@dataclass(frozen=True)
class World:
    """An edge, and a way to reach it and to start replicas."""

    edge: Edge
    port: int
    replica: Callable[..., Replica]

    def ask(
        self,
        path: str = "/",
        *,
        host: str = "shop.example",
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes | Iterator[bytes] | None = None,
        source: str = "127.0.0.1",
        chunked: bool = False,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20, source_address=(source, 0))
        try:
            given = {"Host": host, **(headers or {})}
            connection.request(method, path, body=body, headers=given, encode_chunked=chunked)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def app(self, *routes: Route, **rest: object) -> AppEdge:
        """An app `shop`, with these routes to its replica at the given upstreams."""
        return AppEdge(instance="shop", routes=routes, **rest)  # type: ignore[arg-type]


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def unused_port() -> Callable[[], int]:
    return free_port


@pytest.fixture
def ask_at() -> Callable[[int, str], str]:
    """Who answers at a port, and what it was asked: `web.1 /path`."""

    def ask(port: int, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path, headers={"Host": "shop.example"})
            told = json.loads(connection.getresponse().read())
            return f"{told['replica']} {told['target']}"
        finally:
            connection.close()

    return ask


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path: socket paths are limited to about a hundred characters."""
    path = Path(tempfile.mkdtemp(prefix="hv"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def replica() -> Iterator[Callable[..., Replica]]:
    started: list[Replica] = []

    def start(name: str, address: str = "127.0.0.2", port: int = 0) -> Replica:
        started.append(Replica(name, address, port))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def make_world(home: Path, replica: Callable[..., Replica]) -> Iterator[Callable[..., World]]:
    if find_program("haproxy") is None:
        pytest.skip("needs HAProxy (apt-get install haproxy)")
    made: list[Edge] = []

    def make(**settings: object) -> World:
        fixed = {"addresses": ("127.0.0.1",), "http_port": free_port(), "https_port": None, "threads": 1}
        edge = Edge(home, ProcessRunner(), EdgeSettings(**{**fixed, **settings}))  # type: ignore[arg-type]
        made.append(edge)
        edge.ensure_running()
        return World(edge, edge.settings.http_port, replica)

    yield make
    for edge in made:
        edge.stop()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()
