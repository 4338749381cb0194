"""What is applied at the edge: each app's wish, and the backends and server slots that fulfil it, kept as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypeVar

import msgspec

from havre.edge.layout import Layout
from havre.errors import FailedError, Problem
from havre.host.files import write_atomic
from havre.model.route import AppEdge, Endpoint, Upstream

T = TypeVar("T")
SlotState: TypeAlias = Literal["ready", "drain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A declared server that a replica occupies: taking traffic, or draining."""

    number: int
    upstream: Upstream
    state: SlotState = "ready"

    @property
    def server(self) -> str:
        """Its name in HAProxy."""
        return f"s{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The replicas of one (service, port): `names` are HAProxy's backends for it (HTTP, TCP or both).

    All of them have `capacity` slots and are filled alike. `held` means that requests wait: where the replicas run,
    `until` a moment after which they are led there all the same, in case that nobody is there to end it.
    """

    endpoint: Endpoint
    names: tuple[str, ...]
    capacity: int = 4
    slots: tuple[Slot, ...] = ()
    held: bool = False
    until: float | None = None
    sticky: bool = False

    @property
    def ready(self) -> tuple[Upstream, ...]:
        """The replicas that take traffic."""
        return tuple(slot.upstream for slot in self.slots if slot.state == "ready")

    @property
    def draining(self) -> tuple[Slot, ...]:
        """The slots that finish what they were given."""
        return tuple(slot for slot in self.slots if slot.state == "drain")

    def ends_before(self, moment: float) -> bool:
        """True when it is held, and the hold ends by itself before `moment` (seconds since 1970)."""
        return self.held and self.until is not None and self.until < moment

    def without(self, *names: str) -> Backend:
        """The same with the draining replicas `names` gone."""
        kept = [slot for slot in self.slots if not (slot.state == "drain" and slot.upstream.name in names)]
        return replace(self, slots=tuple(kept))

    def leading_to(self, wanted: tuple[Upstream, ...], *, held: bool, until: float | None = None) -> Backend:
        """The same with `wanted` ready and everything else that was ready draining.

        Slots grow beyond `capacity` when too many are taken; the caller compares.
        """
        slots = [self._settled(slot, wanted) for slot in self.slots]
        taken = {slot.number for slot in slots}
        for upstream in wanted:
            if any(slot.upstream == upstream for slot in slots):
                continue
            number = next(n for n in range(1, len(taken) + 2) if n not in taken)
            taken.add(number)
            slots.append(Slot(number=number, upstream=upstream))
        ordered = tuple(sorted(slots, key=lambda slot: slot.number))
        return replace(self, slots=ordered, held=held, until=until if held else None)

    def _settled(self, slot: Slot, wanted: tuple[Upstream, ...]) -> Slot:
        return replace(slot, state="ready" if slot.upstream in wanted else "drain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """One app as it is applied now."""

    app: AppEdge
    backends: tuple[Backend, ...] = ()

    def backend(self, endpoint: Endpoint) -> Backend | None:
        """The backend of `endpoint`, if anything leads there."""
        return next((backend for backend in self.backends if backend.endpoint == endpoint), None)

    def with_backends(self, backends: tuple[Backend, ...]) -> Applied:
        """The same app with these backends; its wish names the replicas that are ready."""
        upstreams = tuple((backend.endpoint, backend.ready) for backend in backends)
        return Applied(app=replace(self.app, upstreams=upstreams), backends=backends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What the apps share: the structure's generation, spare backends still free, rate-limit periods declared."""

    generation: int = 0
    free: tuple[str, ...] = ()
    next_spare: int = 1
    periods: tuple[int, ...] = (60,)
    takes_over: bool = False
    """Something was held when this structure was made: its worker takes over what the one before it holds."""
    thumbprint: str | None = None
    """Of the ACME account: what the edge answers to HTTP-01 challenges."""


def load_applied(layout: Layout, instance: str) -> Applied | None:
    """What is applied for `instance`, or None."""
    path = layout.app_state(instance)
    if not path.exists():
        return None
    return _decode(path.read_bytes(), Applied, str(path))


def load_all(layout: Layout) -> Iterator[Applied]:
    """Every app that is applied, by name."""
    for path in sorted(layout.states.glob("*.json")):
        yield _decode(path.read_bytes(), Applied, str(path))


def save_applied(layout: Layout, applied: Applied) -> None:
    """Record `applied`."""
    write_atomic(layout.app_state(applied.app.instance), msgspec.json.encode(applied), mode=0o600)


def load_pool(layout: Layout) -> Pool:
    """The shared state; a fresh one when there is none."""
    if not layout.pool.exists():
        return Pool()
    return _decode(layout.pool.read_bytes(), Pool, str(layout.pool))


def save_pool(layout: Layout, pool: Pool) -> None:
    """Record the shared state."""
    write_atomic(layout.pool, msgspec.json.encode(pool), mode=0o600)


def _decode(data: bytes, kind: type[T], path: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise FailedError(
            Problem(
                summary=f"the edge's record {path} cannot be read",
                evidence=(str(error),),
                hint="remove the file and deploy that app again: its routes are rebuilt from the deployment",
                code="edge-state-unreadable",
            )
        ) from error
