"""How requests wait at the edge while nothing may serve them, and how they outlive a reload meanwhile.

Requests wait in Lua, as long as their backend is in the map of held ones. Connections of other protocols have no such
place: they try a closed port, and pause after each refusal. A reload makes the worker that they wait in an old one,
which is told nothing any more. Its held servers lead to the *gate* of its generation, which only a later worker opens.
"""

from __future__ import annotations

import hashlib

from havre.edge.layout import Layout
from havre.edge.names import HTTP, NO_REPEAT, TCP
from havre.edge.state import Pool
from havre.edge.text import lines
from havre.model.route import EdgeSettings

HOLD_LIMIT = 15.0
CONNECT_TIMEOUT = 0.25
"""Seconds; also the pause between two tries, so `retries` times this is how long a connection is held."""
_GATE, _TCP_GATE = "HAVRE_GATE", "HAVRE_TCP_GATE"
"""Variables of the configuration: where a worker's held requests and connections knock."""
_TAKEN_OVER = range(1, 4)
"""How many structures back requests are taken over from: one that failed, and was taken back, counts too."""


def wait(*, is_tcp: bool) -> str:
    """The last rule of a backend: its server `hold` is up from before the map says that it is held until after."""
    rule = "tcp-request content lua.watch" if is_tcp else "http-request lua.wait"
    return f"  {rule} if {{ srv_is_up(hold) }}"


def retries(hold_limit: float) -> int:
    """How many tries make up `hold_limit` seconds."""
    return max(1, round(hold_limit / CONNECT_TIMEOUT))


def hold_server(*, is_tcp: bool, is_held: bool) -> str:
    """The server of a backend that has the turn while no replica may: what comes to it waits, or changes workers."""
    gate, disabled = _TCP_GATE if is_tcp else _GATE, "" if is_held else " disabled"
    return f'  server hold "${{{gate}}}" no-check send-proxy-v2 proxy-v2-options unique-id{disabled}'


def variables(settings: EdgeSettings, layout: Layout, pool: Pool) -> list[str]:
    """What the lines of apps refer to, in the global section: a new generation leaves their text alone."""
    return [
        f"  setenv {_GATE} unix@{layout.gate(pool.generation)}",
        f"  setenv {_TCP_GATE} {_tcp_gate(settings, layout, pool.generation)}",
    ]


def gates(settings: EdgeSettings, layout: Layout, pool: Pool) -> str:
    """Where this worker takes over what those before it hold; the PROXY header brings the name of the backend.

    What the route asks for was done in the old worker.
    """
    before = [pool.generation - back for back in _TAKEN_OVER if pool.generation >= back]
    led = ["  no log", "  unique-id-format '%[fc_pp_unique_id]'", "  use_backend %[fc_pp_unique_id]"]
    own = [f"  bind unix@{layout.gate(generation)} mode 600 accept-proxy" for generation in before]
    tcp = [f"  bind {_tcp_gate(settings, layout, generation)} accept-proxy" for generation in before]
    return lines(
        [f"frontend gate from {HTTP}", *own, NO_REPEAT, *led, ""] if own else [],
        [f"frontend gate.tcp from {TCP}", *tcp, *led, ""] if tcp and pool.takes_over else [],
    )


def _tcp_gate(settings: EdgeSettings, layout: Layout, generation: int) -> str:
    """A loopback address of this edge alone, with a port where nothing listens.

    It cannot be a path: HAProxy pauses before the next try when a connection was refused, not when there is no socket.
    """
    digest = hashlib.sha256(f"{layout.home} {generation}".encode()).digest()
    return f"127.{128 + digest[0] % 127}.{digest[1]}.{digest[2]}:{1 if settings.nonlocal_bind else 61001}"
