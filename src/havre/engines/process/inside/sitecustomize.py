"""A replica has one address of its own: a Python program that would listen on every address listens there."""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import os
import socket
import sys
from typing import Any

_EVERY = ("", "0.0.0.0", "::")  # noqa: S104 - what is replaced


def _listen_at(own: str) -> None:
    bind, look_up = socket.socket.bind, socket.getaddrinfo

    def bind_here(self: socket.socket, address: Any, /) -> None:
        """A client's socket, which has no port yet, may come from anywhere."""
        if self.type == socket.SOCK_STREAM and isinstance(address, tuple) and address[0] in _EVERY and address[1]:
            if self.family == socket.AF_INET:
                address = (own, *address[1:])
            elif self.family == socket.AF_INET6:
                self.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                address = (f"::ffff:{own}", *address[1:])
        bind(self, address)

    def look_up_here(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:  # noqa: A002
        """Where a server asks which addresses there are, there is one."""
        is_server = flags & socket.AI_PASSIVE and family != socket.AF_INET6 and type in (0, socket.SOCK_STREAM)
        return look_up(own if is_server and (not host or host in _EVERY) else host, port, family, type, proto, flags)

    socket.socket.bind = bind_here  # type: ignore[assignment, method-assign]
    socket.getaddrinfo = look_up_here


def _run_the_next() -> None:
    """The `sitecustomize` of the system, or of the program itself, which this one hides."""
    others = [path for path in sys.path if os.path.abspath(path) != os.path.dirname(__file__)]  # noqa: PTH100, PTH120
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if os.environ.get("HOST"):  # noqa: TID251 - it runs in somebody else's process
    _listen_at(os.environ["HOST"])  # noqa: TID251
with contextlib.suppress(ImportError):
    _run_the_next()
