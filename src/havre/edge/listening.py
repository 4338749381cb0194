"""Find out whether an address can be listened on, before HAProxy is asked to and fails as a whole."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

from havre.edge.state import Applied
from havre.errors import Problem
from havre.model.route import AppEdge


def taken_addresses(old: Applied | None, app: AppEdge, *, nonlocal_bind: bool) -> Iterator[Problem]:
    """The app's new listeners whose address is in use by another program, or does not exist on this server."""
    known = set(_listeners(old.app)) if old else set()
    for address, port in _listeners(app):
        if (address, port) in known:
            continue
        problem = _try(address, port)
        if problem is None or (problem == errno.EADDRNOTAVAIL and nonlocal_bind):
            continue
        yield Problem(
            summary=f"the edge cannot listen on {address}:{port}: {_WORDS.get(problem, errno.errorcode[problem])}",
            hint=_HINTS.get(problem, "look at the address and at what else runs there (`ss -tlnp`)"),
            subject=app.instance,
            code="edge-address",
        )


_WORDS = {
    errno.EADDRINUSE: "another program (or another app) listens there",
    errno.EADDRNOTAVAIL: "this server has no such address",
    errno.EACCES: "ports below 1024 need root",
}
_HINTS = {
    errno.EADDRINUSE: "publish another port, or stop the program that `ss -tlnp` shows there",
    errno.EADDRNOTAVAIL: "create the network first, or correct the address",
}


def _listeners(app: AppEdge) -> list[tuple[str, int]]:
    published = [(port.address, port.port) for port in app.tcp_ports]
    return published + [(listener.address, listener.port) for listener in app.inside]


def _try(address: str, port: int) -> int | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            return error.errno
    return None
