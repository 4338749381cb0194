"""What is written down about a replica: how it is launched, and how it stands.

The engine writes the launch, the supervisor writes the status; both read both. Only the standard library
is used here, and little of it: the supervisor must stay small.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any

LAUNCH, STATUS, CHECKED = "launch.json", "status.json", "checked"
"""The last holds what the health check said last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Something that appears at `target` in the replica's view of the file system.

    `kind` is `bind`, `tmpfs` or `layer` (a private writable layer over `source`).
    """

    kind: str
    target: str
    source: str = ""
    read_only: bool = False
    size: int = 0
    mode: int = 0o1777


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything the supervisor needs to start a replica; it decides nothing that is not in here."""

    instance: str
    service: str
    slot: int
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    role: str = "replica"
    release: int = 0
    fingerprint: str = ""
    image: str = ""
    image_id: str = ""
    address: str = ""
    port: int = 0
    listens_as_told: bool = True
    """False for a service whose own default would be every address of the server."""
    uid: int = -1
    gid: int = -1
    groups: tuple[int, ...] = ()
    workdir: str = "/"
    places: tuple[Place, ...] = ()
    reveal: tuple[str, ...] = ()
    """Paths of this machine that the replica's user must reach, whatever the directories above them allow."""
    isolated: bool = True
    stop_signal: int = 15
    grace: float = 10.0
    signal_group: bool = False
    """The stop signal goes to the whole session, because its leader is a shell that would not pass it on."""
    restart: str = "no"
    attempts: int = 0
    memory: int = 0
    cpus: float = 0.0
    pids: int = 0
    limits: tuple[tuple[str, int, int], ...] = ()
    no_new_privileges: bool = False
    log_size: int = 10 * 1024 * 1024
    log_files: int = 3
    networks: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    """Host entries that win over the addresses of services (the edge's listeners)."""
    aliases: tuple[str, ...] = ()
    extra_hosts: tuple[tuple[str, str], ...] = ()
    inside: tuple[tuple[str, str], ...] = ()
    """More variables for commands run in the replica later (a password file's content, where its server is)."""
    health: tuple[str, ...] = ()
    """The health check as a command to run inside, at its own address already; empty when there is none."""
    health_interval: float = 30.0
    health_timeout: float = 30.0
    health_retries: int = 3
    health_start: float = 0.0
    pre_stop: str = ""
    """The hooks to run before its stop, as `engines.hooks` writes them: the project may have changed since."""
    mark: str = ""
    """What every process of it carries in its environment; unlike the key, it is unique on the whole server."""
    created_at: float = 0.0

    @property
    def key(self) -> str:
        """Where its directory lies, below the directory of all replicas."""
        return f"{self.instance}/{self.service}.{self.slot}"


@dataclass(slots=True, kw_only=True)
class Status:
    """How a replica stands; times are seconds since the epoch, `exit_code` 128+n after signal n."""

    state: str = "created"
    wanted: bool = True
    pid: int = 0
    started_ticks: int = 0
    boot: str = ""
    namespace: int = 0
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int | None = None
    restarts: int = 0
    oom_killed: bool = False
    unenforced: list[str] = field(default_factory=list)
    health: str = ""
    """`passed` or `failed` since the last change; empty before the first verdict."""


def read_launch(directory: str) -> Launch | None:
    """The launch written in a replica's directory, or None when there is none."""
    content = read_json(f"{directory}/{LAUNCH}")
    if content is None:
        return None
    content = {name: _frozen(value) for name, value in content.items()}
    content["places"] = tuple(Place(**dict(place)) for place in content["places"])
    return Launch(**content)


def write_launch(directory: str, launch: Launch) -> None:
    """Write it, readable by its owner only: it holds the replica's environment."""
    write_json(f"{directory}/{LAUNCH}", asdict(launch))


def read_status(directory: str) -> Status:
    """The status written in a replica's directory; a fresh one when there is none."""
    return Status(**(read_json(f"{directory}/{STATUS}") or {}))


def write_status(directory: str, status: Status) -> None:
    """Write it, so that the next supervisor knows."""
    write_json(f"{directory}/{STATUS}", asdict(status))


def read_json(path: str) -> dict[str, Any] | None:
    """The object in that file, or None when there is no such file."""
    try:
        with open(path, "rb") as file:
            content: dict[str, Any] = json.load(file)
            return content
    except FileNotFoundError:
        return None


def write_json(path: str, content: object) -> None:
    """Replace the file as a whole, for its owner's eyes; a crash leaves the old content or the new."""
    temporary = f"{path}.{os.getpid()}.new"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, json.dumps(content).encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(temporary, path)


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return value
