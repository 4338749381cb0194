"""What a new server must know of an app, and how far it has come in bringing it back.

A recovery that failed in the middle is gone on with: what was put back and corrected since, or restored, stays.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from havre.host.files import private_directory, write_atomic
from havre.store.state import State


class AppRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a new server must know to put things where they were."""

    id: str
    instance: str
    environment: str
    directory: str
    manifest: str
    machine: str
    at: float


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """One that was begun here: `record.directory` is where its files go, `restored` names whose data is back."""

    record: AppRecord
    fetched: bool = False
    restored: tuple[str, ...] = ()


def read_recovery(state: State, instance: str) -> Recovery | None:
    """The one that was begun here and did not end; None when there is none."""
    path = _path(state, instance)
    return msgspec.json.decode(path.read_bytes(), type=Recovery) if path.is_file() else None


def write_recovery(state: State, recovery: Recovery) -> None:
    """Remember how far it came."""
    path = _path(state, recovery.record.instance)
    private_directory(state.directory)
    private_directory(path.parent)
    write_atomic(path, msgspec.json.encode(recovery), mode=0o600)


def end_recovery(state: State, instance: str) -> None:
    """Everything is back."""
    _path(state, instance).unlink(missing_ok=True)


def _path(state: State, instance: str) -> Path:
    return state.directory / "recoveries" / f"{instance}.json"
