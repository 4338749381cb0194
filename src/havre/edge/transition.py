"""Decide how an app's edge becomes another: which backends, which slots, and whether the structure changes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from havre.edge.app_config import STANDARD_CAPACITY, is_plain, needs_http, needs_tcp, routes_to, spare, structure
from havre.edge.state import Applied, Backend, Pool
from havre.model.route import AppEdge, EdgeSettings, Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """What an app becomes, what is left of the pool, and whether HAProxy must load a new structure."""

    applied: Applied
    pool: Pool
    needs_reload: bool


def to_app(
    old: Applied | None, app: AppEdge, pool: Pool, settings: EdgeSettings, *, hold: Collection[Endpoint] = (),
    until: Mapping[Endpoint, float] | None = None,
) -> Transition:  # fmt: skip
    """Make the edge serve `app` as wished; the endpoints in `hold` make requests wait, some until a moment only."""
    free, ends = list(pool.free), until or {}
    backends = []
    for endpoint in app.endpoints:
        if needs_http(app, endpoint) or needs_tcp(app, endpoint):
            before = old.backend(endpoint) if old else None
            backends.append(_backend(before, app, endpoint, free, held=endpoint in hold, until=ends.get(endpoint)))
    backends += _still_draining(old, app)
    kept = {name for backend in backends for name in backend.names}
    returned = [name for name in _spares_of(old, settings) if name not in kept]
    applied = Applied(app=app, backends=tuple(backends))
    periods = {route.rate_limit.period for route in app.routes if route.rate_limit}
    new_pool = replace(pool, free=tuple(sorted({*free, *returned})), periods=tuple(sorted({*pool.periods, *periods})))
    changed = needs_reload(old, applied, pool, settings) or new_pool.periods != pool.periods
    return Transition(applied=applied, pool=new_pool, needs_reload=changed)


def needs_reload(old: Applied | None, new: Applied, pool: Pool, settings: EdgeSettings) -> bool:
    """True when a section is new (and not a spare), or a listener is gone whose port must be given up."""
    before = set(structure(old, settings)) if old else set()
    after = set(structure(new, settings))
    appeared = after - before - {spare(name) for name in pool.free}
    vanished = {section for section in before - after if section.startswith("frontend ")}
    return bool(appeared or vanished)


def replenished(pool: Pool, wanted: int) -> Pool:
    """The pool with `wanted` free spare backends; only at a reload, which makes them real."""
    missing = max(0, wanted - len(pool.free))
    new = tuple(f"spare.{pool.next_spare + n:04}" for n in range(missing))
    return replace(pool, free=(*pool.free, *new), next_spare=pool.next_spare + missing)


def highest_slot(backend: Backend) -> int:
    """The largest slot number in use."""
    return max((slot.number for slot in backend.slots), default=0)


def grown(backend: Backend) -> Backend:
    """The backend with enough slots declared for all that are in use."""
    return replace(backend, capacity=max(backend.capacity, _even(highest_slot(backend))))


def _backend(
    before: Backend | None, app: AppEdge, endpoint: Endpoint, free: list[str], *, held: bool, until: float | None
) -> Backend:
    wanted = app.replicas(endpoint)
    capacity = max(before.capacity if before else 0, STANDARD_CAPACITY, _even(2 * len(wanted)))
    routes = routes_to(app, endpoint)
    names = _names(before, app, endpoint, free, capacity)
    start = before or Backend(endpoint=endpoint, names=names)
    filled = start.leading_to(wanted, held=held, until=until)
    return grown(replace(filled, names=names, capacity=capacity, sticky=any(route.sticky for route in routes)))


def _still_draining(old: Applied | None, app: AppEdge) -> list[Backend]:
    """Backends that nothing leads to any more, kept until their last replica is forgotten."""
    gone = [
        backend
        for backend in (old.backends if old else ())
        if backend.slots and not needs_http(app, backend.endpoint) and not needs_tcp(app, backend.endpoint)
    ]
    return [backend.leading_to((), held=False) for backend in gone]


def _names(before: Backend | None, app: AppEdge, endpoint: Endpoint, free: list[str], capacity: int) -> tuple[str, ...]:
    own = f"{app.instance}.{endpoint[0]}.{endpoint[1]}"
    names = []
    if needs_http(app, endpoint):
        known = [name for name in (before.names if before else ()) if not name.endswith(".tcp")]
        if known:
            names.append(known[0])
        elif free and capacity == STANDARD_CAPACITY and is_plain(app, endpoint):
            names.append(free.pop(0))
        else:
            names.append(own)
    if needs_tcp(app, endpoint):
        names.append(f"{own}.tcp")
    return tuple(names)


def _spares_of(old: Applied | None, settings: EdgeSettings) -> list[str]:
    """The backends of `old` that are still exactly a spare, and can serve another app."""
    sections = set(structure(old, settings)) if old else set()
    names = [name for backend in old.backends for name in backend.names] if old else []
    return [name for name in names if name.startswith("spare.") and spare(name) in sections]


def _even(count: int) -> int:
    return -(-count // 4) * 4
