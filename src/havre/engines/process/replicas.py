"""The replicas of an engine: found by their records, launched, stopped and removed; each safe to do again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from havre.engines.process.allocations import Allocations
from havre.engines.process.client import Client, Refusal
from havre.engines.process.names import hosts_text
from havre.engines.process.records import Launch, Status, read_launch, read_status
from havre.errors import FailedError, Problem, RefusedError
from havre.host.locks import exclusive

FIRST_TASK_SLOT = 9001
"""Jobs and tasks are numbered from here, so that they never take a slot a plan meant for a replica."""

STOP_MARGIN = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A replica as its records show it."""

    launch: Launch
    status: Status
    directory: Path

    @property
    def is_running(self) -> bool:
        """True while its process runs."""
        return self.status.state == "running"


class Replicas:
    """All replicas below a state directory."""

    def __init__(self, state: Path, client: Client, allocations: Allocations) -> None:
        self._state = state
        self._root = state / "replicas"
        self._client = client
        self._allocations = allocations

    @property
    def state_mark(self) -> str:
        """Tells this state directory from every other on the server."""
        facts = self._state.stat()
        return f"{facts.st_dev:x}-{facts.st_ino:x}"

    def directory(self, instance: str, service: str, slot: int) -> Path:
        """Where a replica's records lie, or are to lie."""
        return self._root / instance / f"{service}.{slot}"

    def instances(self) -> tuple[str, ...]:
        """The names of all instances with at least one replica."""
        if not self._root.is_dir():
            return ()
        return tuple(sorted(entry.name for entry in self._root.iterdir() if any(entry.glob("*/launch.json"))))

    def listed(self, instance: str) -> list[Found]:
        """Those of an instance by service and slot; a supervisor is there to vouch for what runs."""
        found = list(self._read(instance))
        if found and not self._client.is_running():
            self._client.facts()
            found = list(self._read(instance))
        return sorted(found, key=lambda one: (one.launch.service, one.launch.slot))

    def find(self, instance: str, service: str, slot: int) -> Found | None:
        """The replica in that slot, or None."""
        return next(
            (one for one in self.listed(instance) if (one.launch.service, one.launch.slot) == (service, slot)), None
        )

    def running(self, instance: str, service: str, slot: int) -> Found:
        """The replica in that slot; an error a person can act on when it does not run."""
        found = self.find(instance, service, slot)
        if found is None or not found.is_running:
            raise FailedError(_not_running(instance, service, slot, found))
        return found

    def existing(self, instance: str, service: str, slot: int) -> Found:
        """The replica in that slot, whatever its state; an error when there is none."""
        found = self.find(instance, service, slot)
        if found is None:
            raise FailedError(_not_running(instance, service, slot, found))
        return found

    def free_task_slot(self, instance: str, service: str) -> int:
        """A slot for a one-off."""
        taken = {one.launch.slot for one in self.listed(instance) if one.launch.service == service}
        return next(slot for slot in range(FIRST_TASK_SLOT, 1 << 30) if slot not in taken)

    def make_room(self, instance: str, service: str, slot: int, *, release: int, fingerprint: str) -> bool:
        """True when this very replica runs already; what an earlier attempt at it left is removed."""
        found = self.find(instance, service, slot)
        if found is None:
            return False
        if (found.launch.release, found.launch.fingerprint) != (release, fingerprint):
            raise RefusedError(_slot_taken(found))
        if found.is_running:
            return True
        self.remove(instance, service, slot)
        return False

    def start(self, launch: Launch) -> tuple[str, ...]:
        """Start a launch whose record is written, its neighbours' names first; returns the limits not enforced."""
        self.tell_names(launch.instance)
        try:
            answer = self._client.ask("start", key=launch.key)
        except Refusal as refusal:
            raise FailedError(_not_started(launch, str(refusal))) from refusal
        self.tell_names(launch.instance)
        return tuple(answer["unenforced"])

    def run(self, launch: Launch, timeout: float) -> int | None:
        """Run a one-off to its end: its exit code, or None when it was stopped after `timeout` seconds."""
        self.tell_names(launch.instance)
        try:
            return int(self._client.ask("start", timeout=timeout, key=launch.key, attached=True)["exit"])
        except TimeoutError:
            self.stop(launch.instance, launch.service, launch.slot, launch.grace)
            return None
        except Refusal as refusal:
            raise FailedError(_not_started(launch, str(refusal))) from refusal

    def start_again(self, instance: str, service: str, slot: int) -> None:
        """Start a stopped replica again, as it is."""
        found = self.find(instance, service, slot)
        if found is None:
            raise FailedError(_gone(instance, service, slot))
        self.start(found.launch)

    def stop(self, instance: str, service: str, slot: int, grace: float) -> None:
        """Ask it to stop and wait; one that is stopped or gone is fine."""
        found = self.find(instance, service, slot)
        if found is None or (found.status.state in {"exited", "created"} and not found.status.wanted):
            return
        self._client.ask("stop", timeout=grace + STOP_MARGIN, key=found.launch.key, grace=grace)
        self.tell_names(instance)

    def remove(self, instance: str, service: str, slot: int) -> None:
        """Remove a stopped replica with everything that was only its own."""
        found = self.find(instance, service, slot)
        if found is None:
            return
        if found.is_running:
            raise RefusedError(_still_running(found))
        with self._naming(instance):  # no name is written into a directory that goes
            self._client.ask("remove", key=found.launch.key)
        self._allocations.release_address(instance, f"{service}.{slot}")
        if not any(one.launch.service == service for one in self._read(instance)):
            self._allocations.release_address(instance, service)
        with contextlib.suppress(OSError):  # others are still there
            found.directory.parent.rmdir()

    def execute(self, found: Found, fields: dict[str, Any], handles: Sequence[int], timeout: float | None) -> int:
        """Run a command in the replica's world; its exit code. Raises Refusal and TimeoutError."""
        answer = self._client.ask("execute", timeout=timeout, handles=handles, key=found.launch.key, **fields)
        return int(answer["exit"])

    def tell_names(self, instance: str) -> None:
        """Write every replica's hosts file anew, in place: it is seen inside at once."""
        with self._naming(instance):
            everybody = list(self._read(instance))
            there = [one.launch for one in everybody if one.status.state in {"running", "restarting"}]
            for one in everybody:
                others = [launch for launch in there if launch.key != one.launch.key]
                _rewrite(one.directory / "hosts", hosts_text(one.launch, others).encode())

    def _read(self, instance: str) -> Iterator[Found]:
        root = self._root / instance
        if not root.is_dir():
            return
        for entry in root.iterdir():
            launch = read_launch(str(entry))
            if launch is not None:
                yield Found(launch=launch, status=read_status(str(entry)), directory=entry)

    @contextmanager
    def _naming(self, instance: str) -> Iterator[None]:
        lock = self._state / "locks" / f"{instance}.names"
        with exclusive(lock, what="the names of the replicas", doing="write", wait=30.0):
            yield


def _rewrite(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if os.pread(handle, len(content) + 1, 0) != content:
            os.pwrite(handle, content, 0)
            os.ftruncate(handle, len(content))
    finally:
        os.close(handle)


def _name(launch: Launch) -> str:
    return f"{launch.instance}/{launch.service}.{launch.slot}"


def _not_running(instance: str, service: str, slot: int, found: Found | None) -> Problem:
    seen = (
        (f"it is {found.status.state}, exit code {found.status.exit_code}",) if found else ("there is no such replica",)
    )
    return Problem(
        summary=f"{service}.{slot} does not run",
        subject=instance,
        evidence=seen,
        hint=f"`havre logs {service}` shows its last words, `havre start {service}` starts it again"
        if found
        else "`havre deploy` makes what is missing; `havre ps` shows all replicas",
        code="replica-not-running",
    )


def _slot_taken(found: Found) -> Problem:
    return Problem(
        summary=f"slot {found.launch.slot} of {found.launch.service} is taken by release {found.launch.release}",
        subject=found.launch.instance,
        hint="plan again: the server has changed since this plan was made",
        code="slot-taken",
    )


def _not_started(launch: Launch, reason: str) -> Problem:
    return Problem(
        summary=f"could not be started: {reason}",
        subject=_name(launch),
        evidence=(f"command: {' '.join(launch.argv)}"[:300],),
        hint="correct the command or what it names, then deploy again",
        code="replica-not-started",
    )


def _gone(instance: str, service: str, slot: int) -> Problem:
    return Problem(
        summary=f"{service}.{slot} does not exist any more",
        subject=instance,
        hint="deploy again",
        code="replica-gone",
    )


def _still_running(found: Found) -> Problem:
    return Problem(
        summary=f"{found.launch.service}.{found.launch.slot} still runs and is not removed",
        subject=found.launch.instance,
        hint="stop it first",
        code="replica-running",
    )
