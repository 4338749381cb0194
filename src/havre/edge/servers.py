"""Bring the server slots of running backends to what is wanted: everything new first, only then what is old.

In between the caller moves the maps, so that no request is led to a backend that has lost its replicas already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from havre.edge.runtime import Runtime, ServerLine
from havre.edge.state import Backend, Slot
from havre.errors import FailedError, Problem
from havre.host import clock

Place: TypeAlias = tuple[str, int]
"""Address and port."""
Lines: TypeAlias = Mapping[tuple[str, str], ServerLine]
"""Slots as the running edge has them, by backend and name."""
_CLOSE = 1.5
"""Seconds before the end of a hold within which nobody can tell any more whether it lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A backend before and after; `before` None means that nothing is known of it."""

    before: Backend | None
    after: Backend


def open_new(runtime: Runtime, changes: Iterable[Change]) -> None:
    """Let everything new take traffic."""
    for change in changes:
        _open_new(runtime, change)


def retire_old(runtime: Runtime, changes: Iterable[Change]) -> None:
    """End what is old, then read back; raises FailedError when HAProxy disagrees.

    A hold with an end may be over already: then the edge has opened the backend, or does so when somebody comes.
    """
    listed = list(changes)
    for change in listed:
        _retire_old(runtime, change)
    for change in listed:
        if not change.after.ends_before(clock.now() + _CLOSE):
            if change.before is not None and change.before.until is not None:
                _bring(runtime, change.after, _lines(runtime, change.after))
            _read_back(runtime, change.after)


def repair(runtime: Runtime, backends: Iterable[Backend]) -> None:
    """Make the running slots equal to `backends`, whatever they are now."""
    now = {(line.backend, line.name): line for line in runtime.servers()}
    for backend in backends:
        _bring(runtime, backend, now)


def _bring(runtime: Runtime, backend: Backend, now: Lines) -> None:
    for name, server, at, state in _wanted(backend):
        line = now.get((name, server))
        if line is not None and not _matches(line, at, state):
            if state != "maint" and at is not None:
                runtime.place(name, server, *at)
            runtime.set_state(name, server, state)


def _open_new(runtime: Runtime, change: Change) -> None:
    before = {slot.number: slot for slot in change.before.slots} if change.before else {}
    for name in change.after.names:
        for slot in change.after.slots:
            old = before.get(slot.number)
            if slot.state != "ready" or old == slot:
                continue
            if old is None or old.upstream != slot.upstream:
                runtime.place(name, slot.server, slot.upstream.address, slot.upstream.port)
            runtime.set_state(name, slot.server, "ready")
        if change.after.held and not (change.before and change.before.held):
            runtime.set_state(name, "hold", "ready")


def _retire_old(runtime: Runtime, change: Change) -> None:
    if change.before is None:
        return
    after = {slot.number: slot for slot in change.after.slots}
    for name in change.after.names:
        for old in change.before.slots:
            slot = after.get(old.number)
            if slot is None:
                runtime.set_state(name, old.server, "maint")
            elif slot.state == "drain" and old.state == "ready":
                runtime.set_state(name, old.server, _drained(change.after))
        if change.before.held and not change.after.held:
            runtime.set_state(name, "hold", "maint")


def _drained(backend: Backend) -> str:
    """A draining server still takes requests that carry its cookie, so sticky ones go to maintenance at once.

    Their open sessions finish all the same.
    """
    return "maint" if backend.sticky else "drain"


def _wanted(backend: Backend) -> Iterator[tuple[str, str, Place | None, str]]:
    """(backend, server, where or None for what never moves, state); what lets requests wait, before the replicas."""
    taken: dict[int, Slot] = {slot.number: slot for slot in backend.slots}
    for name in backend.names:
        if backend.held:
            yield name, "hold", None, "ready"
        for number in range(1, backend.capacity + 1):
            slot = taken.get(number)
            if slot is None:
                yield name, f"s{number}", None, "maint"
            else:
                state = "ready" if slot.state == "ready" else _drained(backend)
                yield name, slot.server, (slot.upstream.address, slot.upstream.port), state
        if not backend.held:
            yield name, "hold", None, "maint"


def _matches(line: ServerLine, at: Place | None, state: str) -> bool:
    if state == "maint":
        return line.is_off
    if at is not None and (line.address, line.port) != at:
        return False
    return line.takes_traffic if state == "ready" else line.is_draining or line.is_off


def _lines(runtime: Runtime, backend: Backend) -> Lines:
    return {(line.backend, line.name): line for name in backend.names for line in runtime.servers(name)}


def _read_back(runtime: Runtime, backend: Backend) -> None:
    lines, wrong = _lines(runtime, backend), []
    for name, server, at, state in _wanted(backend):
        line = lines.get((name, server))
        if line is None or not _matches(line, at, state):
            where = f" at {at[0]}:{at[1]}" if at else ""
            wrong.append(f"{name}/{server} should be {state}{where}, is {line}")
    if wrong:
        raise FailedError(
            Problem(
                summary="the running edge does not show what it was told",
                evidence=tuple(wrong[:4]),
                hint="run `havre edge restart`: it brings the running edge back to what is recorded on disk",
                code="edge-disagrees",
            )
        )
