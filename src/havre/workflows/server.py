"""The server that workflows act on: engine, edge, state and sealing, constructed once by the front."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from havre.engines.base import Engine
from havre.errors import Problem
from havre.model.observed import Observed
from havre.model.route import AppEdge, Endpoint, Upstream
from havre.store.state import State


class Traffic(Protocol):
    """What workflows ask of the edge; `havre.edge.Edge` is one, the tests have another in memory."""

    def ensure_running(self) -> None:
        """Start the edge, or bring it back with the routes it had."""
        ...

    def read(self, instance: str) -> AppEdge | None:
        """What is applied now for an instance."""
        ...

    def apply(
        self, app: AppEdge, *, hold: Collection[Endpoint] = (), until: Mapping[Endpoint, float] | None = None
    ) -> object:
        """Make the edge equal to this, in one step; one app's error touches no other (D9)."""
        ...

    def hold(self, instance: str, service: str, port: int, *, until: float | None = None) -> None:
        """Let requests for that endpoint wait instead of failing; `until` then, where its replicas run."""
        ...

    def draining(self, instance: str) -> Mapping[str, int]:
        """Open requests of each replica that no longer gets new ones."""
        ...

    def forget(self, instance: str, upstream: str) -> None:
        """Drop a drained replica."""
        ...

    def await_old_workers(self, timeout: float) -> bool:
        """Wait until nothing of an earlier configuration serves any more."""
        ...

    def remove(self, instance: str) -> None:
        """Drop everything of an instance."""
        ...

    def secure(self, instance: str) -> tuple[Problem, ...]:
        """Order the certificates that an app's hosts lack; problems are told, and undo nothing."""
        ...

    def stop(self) -> None:
        """End the edge; what is applied stays recorded."""
        ...

    def entrance(self) -> tuple[str, int, int | None]:
        """(address, HTTP port, HTTPS port or None) at which this machine reaches the edge."""
        ...


Seal = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Everything a workflow may use; `who` is the person, `machine` the server's name for confirmations."""

    state: State
    engine: Engine
    traffic: Traffic
    seal: Seal
    unseal: Seal
    who: str
    machine: str

    @property
    def ends_tls(self) -> bool:
        """False where another proxy ends TLS in front of the edge."""
        return self.traffic.entrance()[2] is not None

    def shut_down(self) -> None:
        """End what Havre itself keeps running here: the edge, and the engine's own helper processes."""
        self.traffic.stop()
        self.engine.shut_down()


def upstream_name(service: str, slot: int) -> str:
    """How the edge calls a replica."""
    return f"{service}.{slot}"


def slot_of(upstream: Upstream) -> int:
    """The slot in an upstream's name."""
    return int(upstream.name.rsplit(".", 1)[1])


def slots_by_service(edge: AppEdge | None) -> dict[str, tuple[int, ...]]:
    """For each service that the edge leads to, the slots it leads to now."""
    slots: dict[str, set[int]] = {}
    for (service, _), replicas in edge.upstreams if edge else ():
        slots.setdefault(service, set()).update(slot_of(replica) for replica in replicas)
    return {service: tuple(sorted(found)) for service, found in slots.items()}


def called_through(edge: AppEdge | None) -> frozenset[str]:
    """The services whose callers inside the app come through the edge."""
    return frozenset(listener.service for listener in edge.inside) if edge else frozenset()


def upstreams_for(
    endpoints: Sequence[Endpoint], to: Mapping[str, Sequence[int]], address: Callable[[str, int], str]
) -> dict[Endpoint, tuple[Upstream, ...]]:
    """The replicas behind each endpoint, when each service is led to these slots."""
    return {
        (service, port): tuple(
            Upstream(name=upstream_name(service, slot), address=address(service, slot), port=port)
            for slot in to.get(service, ())
        )
        for service, port in endpoints
    }


def led_to_where_they_are(edge: AppEdge, observed: Observed) -> AppEdge:
    """The same with the addresses that running replicas have now: an engine may start one again under another."""
    now = {upstream_name(one.service, one.slot): one.addresses for one in observed.replicas if one.is_running}

    def moved(upstream: Upstream) -> Upstream:
        addresses = [address for _, address in now.get(upstream.name, ())]
        return replace(upstream, address=addresses[0]) if addresses and upstream.address not in addresses else upstream

    upstreams = tuple((endpoint, tuple(moved(one) for one in replicas)) for endpoint, replicas in edge.upstreams)
    return replace(edge, upstreams=upstreams)
