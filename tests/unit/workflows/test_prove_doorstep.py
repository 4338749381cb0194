"""Between two looks at a replica: the next one comes when it opens its port, else when it was due."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from havre.engines.base import Context
from havre.engines.memory import Behaviour, MemoryEngine
from havre.model.project import Project, Service
from havre.workflows.execute import Cancellation, Cancelled
from havre.workflows.prove import Doorstep


class OnThisMachine(MemoryEngine):
    """Its replicas are at a real address."""

    def address(self, service: Service, slot: int, context: Context) -> str:
        return "127.0.0.1"


@pytest.fixture
def port() -> Iterator[socket.socket]:
    """Taken, and not open yet."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken


def _doorstep(port: socket.socket, cancellation: Cancellation | None = None) -> Doorstep:
    web = Service(name="web", image="web:1", expose=(str(port.getsockname()[1]),))
    context = Context(instance="shop", release=1, project=Project(name="shop", services=(web,)))
    return Doorstep(OnThisMachine(Behaviour()), web, 1, context, cancellation or Cancellation())


def _rested(doorstep: Doorstep, seconds: float) -> float:
    began = time.monotonic()
    doorstep.rest(seconds)
    return time.monotonic() - began


def test_a_port_that_opens_ends_the_rest(port: socket.socket) -> None:
    opening = threading.Timer(0.1, port.listen)
    opening.start()
    assert 0.1 <= _rested(_doorstep(port), 30.0) < 10.0
    opening.join()


def test_while_it_stays_closed_and_once_it_was_open_a_rest_is_a_whole_one(port: socket.socket) -> None:
    doorstep = _doorstep(port)
    assert _rested(doorstep, 0.1) >= 0.1
    port.listen()
    assert _rested(doorstep, 30.0) < 10.0
    assert _rested(doorstep, 0.1) >= 0.1


def test_who_says_stop_is_heard(port: socket.socket) -> None:
    cancellation = Cancellation()
    cancellation.ask()
    with pytest.raises(Cancelled):
        _doorstep(port, cancellation).rest(30.0)
