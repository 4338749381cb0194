"""A conversation with the supervisor: one request, with open files if need be, and its answer."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any, Protocol

_LONGEST_REQUEST = 4 * 1024 * 1024


class Host(Protocol):
    """Whoever answers."""

    def watch(self, handle: int, ready: Callable[[], None]) -> None:
        """Call `ready` whenever `handle` can be read."""
        ...

    def unwatch(self, handle: int) -> None:
        """Stop watching, and close the handle."""
        ...

    def answer(self, talk: Talk, request: dict[str, Any]) -> None:
        """Do what a request asks, and say so at once or later."""
        ...

    def ended(self, talk: Talk) -> None:
        """A conversation is over."""
        ...


class Talk:
    """One request and its answer over a connection; open files may come with the request."""

    def __init__(self, connection: socket.socket, host: Host) -> None:
        self._connection = connection
        self._host = host
        self._heard = b""
        self._asked = False
        self._open = True
        self._gone: Callable[[], None] = lambda: None
        self.handles: list[int] = []
        host.watch(connection.fileno(), self._ready)

    def say(self, **answer: Any) -> None:
        """Answer, and end the conversation."""
        if not self._open:
            return
        with contextlib.suppress(OSError):  # whoever asked is gone
            self._connection.setblocking(True)
            self._connection.sendall(json.dumps(answer).encode() + b"\n")
        self._end()

    def when_gone(self, act: Callable[[], None]) -> None:
        """Act when the asker goes away before the answer."""
        self._gone = act

    def close_handles(self) -> None:
        """Let go of the files that came with the request."""
        for handle in self.handles:
            os.close(handle)
        self.handles = []

    def _ready(self) -> None:
        try:
            data, handles, _, _ = socket.recv_fds(self._connection, 65536, 3, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except ConnectionError:
            data, handles = b"", []
        self.handles.extend(handles)
        self._heard += data
        if not data or len(self._heard) > _LONGEST_REQUEST:
            self._end()
            self._gone()
        elif b"\n" in data and not self._asked:
            self._asked = True
            self._host.answer(self, json.loads(self._heard))

    def _end(self) -> None:
        if self._open:
            self._open = False
            self.close_handles()
            self._host.unwatch(self._connection.detach())
            self._host.ended(self)


@contextlib.contextmanager
def short_path(directory: str) -> Iterator[str]:
    """A path of at most 20 characters for a directory: addresses of sockets may not be long."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)
