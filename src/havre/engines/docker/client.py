"""Speak to a Docker Engine: HTTP over its socket, JSON in and out, streams, and one translation of what goes wrong.

There is no Docker SDK here because its import alone costs more than our whole start (D5), and because the engine's
API is plain HTTP. Each thread keeps one connection; streams get one of their own.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from havre.engines.base import Source
from havre.engines.docker.faults import Asked, explain, not_answering, too_old, too_slow
from havre.errors import InputError, Problem
from havre.host import clock

OLDEST = (1, 41)
NEWEST = (1, 47)
"""The newest API version this client was written against; a newer engine still speaks it."""
PATIENCE = 5.0
"""Seconds for which a question is asked again when an engine that did answer stops answering (it is restarting)."""
_BLOCK = 256 * 1024
"""Bytes of a body that are sent at a time: at http.client's own 16 KiB, sending costs as much as unpacking."""
DEFAULT_HOST = "unix:///var/run/docker.sock"

Query = Mapping[str, object]


class DockerClient:
    """One Docker Engine. Safe to share between threads."""

    def __init__(self, host: str | None = None) -> None:
        self.host = _supported(host or DEFAULT_HOST)
        self._local = threading.local()
        self._calls = 0
        self._counting = threading.Lock()
        self._version: tuple[int, int] | None = None
        self._negotiating = threading.Lock()

    @property
    def calls(self) -> int:
        """How many requests this client has made (the budget of an unchanged deploy is 25)."""
        return self._calls

    @property
    def is_local(self) -> bool:
        """True when the engine sees the same files as this process."""
        return self.host.startswith("unix://")

    @property
    def version(self) -> tuple[int, int]:
        """The API version spoken with this engine: the newest that both sides know."""
        with self._negotiating:
            if self._version is None:
                self._version = self._negotiate()
        return self._version

    def get(self, path: str, query: Query | None = None, *, doing: str) -> Any:
        """Ask; asked again for a few seconds when the engine is just restarting."""
        return _decode(self._ask("GET", path, query, doing=doing).body)

    def find(self, path: str, query: Query | None = None, *, doing: str) -> Any:
        """Like `get`, but None when the engine knows no such thing."""
        reply = self._ask("GET", path, query, doing=doing, accept=(404,))
        return None if reply.status == 404 else _decode(reply.body)

    def head(self, path: str, query: Query | None = None, *, doing: str) -> Mapping[str, str] | None:
        """The reply's headers, or None when the engine knows no such thing."""
        reply = self._ask("HEAD", path, query, doing=doing, accept=(404,))
        return None if reply.status == 404 else reply.headers

    def post(
        self, path: str, body: object = None, query: Query | None = None, *, doing: str, timeout: float = 60.0,
        accept: tuple[int, ...] = (),
    ) -> Reply:  # fmt: skip
        """Do; never repeated by itself, because the first time may have worked. `accept` are statuses that are fine."""
        payload = None if body is None else msgspec.json.encode(body)
        return self._do(Asked(method="POST", path=path, doing=doing), query, payload, timeout, accept)

    def put(self, path: str, payload: bytes, query: Query | None = None, *, doing: str) -> None:
        """Send a file (a tar archive)."""
        asked = Asked(method="PUT", path=path, doing=doing)
        self._do(asked, query, payload, 300.0, (), content_type="application/x-tar")

    def delete(self, path: str, query: Query | None = None, *, doing: str, accept: tuple[int, ...] = (404,)) -> Reply:
        """Remove; that it is gone already is fine."""
        return self._do(Asked(method="DELETE", path=path, doing=doing), query, None, 120.0, accept)

    @contextlib.contextmanager
    def stream(
        self, method: str, path: str, query: Query | None = None, *, doing: str, body: bytes | Source | None = None,
        headers: Mapping[str, str] | None = None, timeout: float | None = None,
    ) -> Iterator[Stream]:  # fmt: skip
        """A reply read while it comes, on a connection of its own that is closed at the end."""
        asked = Asked(method=method, path=path, doing=doing)
        connection = self._connect(timeout)
        try:
            with self._translated(asked, timeout):
                self._send(connection, asked, query, body, dict(headers or {}))
                response = connection.getresponse()
                if response.status >= 400:
                    raise explain(response.status, _message(response.read()), asked)
            yield Stream(response, connection, lambda: self._translated(asked, timeout))
        finally:
            connection.close()

    @contextlib.contextmanager
    def hijack(self, path: str, body: object, *, doing: str) -> Iterator[socket.socket]:
        """The raw two-way connection that attaching to a process gives (its head is already read)."""
        asked = Asked(method="POST", path=path, doing=doing)
        connection = self._connect(None)
        try:
            with self._translated(asked, None):
                headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
                self._send(connection, asked, None, msgspec.json.encode(body), headers)
                raw = connection.sock
                status, rest = _read_head(raw)
                if status >= 400:
                    raise explain(status, _message(rest), asked)
                yield raw
        finally:
            connection.close()

    def _negotiate(self) -> tuple[int, int]:
        asked = Asked(method="GET", path="/_ping", doing="reach the Docker Engine")
        with self._translated(asked, 10.0):
            reply = self._exchange("GET", "/_ping", None, {}, 10.0)
        theirs = _parse_version(_checked(reply, asked, ()).headers.get("api-version", ""))
        if theirs < OLDEST:
            raise too_old(self.host, theirs, OLDEST)
        return min(theirs, NEWEST)

    def _ask(self, method: str, path: str, query: Query | None, *, doing: str, accept: tuple[int, ...] = ()) -> Reply:
        """Ask a question that changes nothing, again and again while the engine that answered before is away."""
        asked = Asked(method=method, path=path, doing=doing)
        target = self._path(path, query)
        give_up = clock.elapsed() + PATIENCE
        while True:
            try:
                return _checked(self._exchange(method, target, None, {}, 60.0), asked, accept)
            except TimeoutError as error:
                raise too_slow(self.host, 60.0, asked) from error
            except (OSError, http.client.HTTPException) as error:
                if clock.elapsed() >= give_up:
                    raise not_answering(self.host, error, asked) from error
                clock.sleep(0.25)

    def _do(
        self, asked: Asked, query: Query | None, payload: bytes | None, timeout: float, accept: tuple[int, ...],
        *, content_type: str = "application/json",
    ) -> Reply:  # fmt: skip
        target = self._path(asked.path, query)
        headers = {"Content-Type": content_type} if payload is not None else {}
        with self._translated(asked, timeout):
            return _checked(self._exchange(asked.method, target, payload, headers, timeout), asked, accept)

    def _exchange(
        self, method: str, target: str, payload: bytes | None, headers: dict[str, str], timeout: float
    ) -> Reply:
        connection = self._kept(timeout)
        self._count()
        try:
            connection.request(method, target, body=payload, headers=headers)
            response = connection.getresponse()
            lowered = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, lowered, response.read())
        except BaseException:
            self._drop()
            raise

    def _send(
        self, connection: http.client.HTTPConnection, asked: Asked, query: Query | None, body: bytes | Source | None,
        headers: dict[str, str],
    ) -> None:  # fmt: skip
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        path = self._path(asked.path, query)
        self._count()
        connection.request(asked.method, path, body=body, headers=headers)

    @contextlib.contextmanager
    def _translated(self, asked: Asked, timeout: float | None) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise too_slow(self.host, timeout or 0.0, asked) from error
        except (OSError, http.client.HTTPException) as error:
            raise not_answering(self.host, error, asked) from error

    def _path(self, path: str, query: Query | None) -> str:
        major, minor = self.version
        pairs = [(name, _text(single)) for name, value in (query or {}).items() for single in _each(value)]
        return f"/v{major}.{minor}{quote(path, safe='/:@')}" + (f"?{urlencode(pairs)}" if pairs else "")

    def _kept(self, timeout: float) -> http.client.HTTPConnection:
        """This thread's connection, unless the engine has closed it meanwhile (which it shows by being readable)."""
        kept: http.client.HTTPConnection | None = getattr(self._local, "kept", None)
        if kept is not None and kept.sock is not None:
            readable, _, _ = select.select([kept.sock], [], [], 0)
            if not readable:
                kept.sock.settimeout(timeout)
                return kept
            kept.close()
        self._local.kept = fresh = self._connect(timeout)
        return fresh

    def _count(self) -> None:
        with self._counting:
            self._calls += 1

    def _drop(self) -> None:
        if self._local.kept is not None:
            self._local.kept.close()
            self._local.kept = None

    def _connect(self, timeout: float | None) -> http.client.HTTPConnection:
        if self.host.startswith("tcp://"):
            address, _, port = self.host.removeprefix("tcp://").rstrip("/").partition(":")
            return http.client.HTTPConnection(address, int(port or 2375), timeout=timeout, blocksize=_BLOCK)
        return _SocketConnection(self.host.removeprefix("unix://"), timeout)


class Reply(msgspec.Struct, frozen=True):
    """What the engine answered, read to its end; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as data."""
        return _decode(self.body)


class Stream:
    """A reply under way; `close` may be called from another thread to end the reading."""

    def __init__(
        self, response: http.client.HTTPResponse, connection: http.client.HTTPConnection,
        translated: Callable[[], AbstractContextManager[None]],
    ) -> None:  # fmt: skip
        self._response = response
        self._translated = translated
        self._closed = False
        self._socket = connection.sock
        self.content_type = response.getheader("Content-Type") or ""

    def chunks(self) -> Iterator[bytes]:
        """Whatever has come, as it comes."""
        while chunk := self._chunk():
            yield chunk

    def messages(self) -> Iterator[Any]:
        """JSON objects, one per line, as builds, pulls and events send them."""
        rest = b""
        for chunk in self.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (msgspec.json.decode(line) for line in lines if line.strip())
        if rest.strip():
            yield msgspec.json.decode(rest)

    def _chunk(self) -> bytes:
        with self._translated():
            try:
                return self._response.read1(65536)
            except (OSError, http.client.HTTPException):
                if self._closed:
                    return b""
                raise

    def close(self) -> None:
        """Make a reader in another thread see the end."""
        self._closed = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class _Socket(socket.socket):
    """Closed when nobody needs it any more: its thread has ended, or its client is gone."""

    def __del__(self) -> None:
        self.close()


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("docker", timeout=timeout, blocksize=_BLOCK)
        self._path = path

    def connect(self) -> None:
        raw = _Socket(socket.AF_UNIX, socket.SOCK_STREAM)
        raw.settimeout(self.timeout)
        try:
            raw.connect(self._path)
        except OSError:
            raw.close()
            raise
        self.sock = raw


def _supported(host: str) -> str:
    """The address, a bare path as a socket; InputError for what this client cannot speak."""
    if host.startswith("/"):
        return f"unix://{host}"
    if host.startswith(("unix://", "tcp://")):
        return host
    raise InputError(
        Problem(
            summary=f"DOCKER_HOST={host} is not an address that Havre can use",
            hint="set it to `unix:///path/to/docker.sock` or `tcp://address:port`; for another server, run Havre there",
            code="docker-host",
        )
    )


def _checked(reply: Reply, asked: Asked, accept: tuple[int, ...]) -> Reply:
    if reply.status >= 400 and reply.status not in accept:
        raise explain(reply.status, _message(reply.body), asked)
    return reply


def _read_head(raw: socket.socket) -> tuple[int, bytes]:
    """The status of a hijacked reply; byte by byte, so that nothing of the stream behind it is swallowed."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = raw.recv(1)
        if not byte:
            break
        head += byte
    words = head.split(b" ", 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 500
    return status, raw.recv(65536) if status >= 400 else b""


def _decode(body: bytes) -> Any:
    return msgspec.json.decode(body) if body.strip() else None


def _message(body: bytes) -> str:
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body.decode(errors="replace").strip()
    return str(found.get("message", found)) if isinstance(found, dict) else str(found)


def _each(value: object) -> tuple[object, ...]:
    """A tuple is a parameter given several times; None one that is not given."""
    return value if isinstance(value, tuple) else () if value is None else (value,)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    return msgspec.json.encode(value).decode()


def _parse_version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)
