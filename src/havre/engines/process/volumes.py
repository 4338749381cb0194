"""Named volumes and networks: directories and records of this engine's state."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from havre.engines.process.allocations import Allocations
from havre.errors import FailedError, Problem, RefusedError
from havre.host.files import write_atomic
from havre.model.observed import ObservedNetwork, ObservedVolume
from havre.model.project import Network, Volume


class Volumes:
    """`volumes/NAME/data` holds the content, `volumes/NAME/volume.json` who made it."""

    def __init__(self, state: Path) -> None:
        self._root = state / "volumes"

    def create(self, volume: Volume, instance: str) -> None:
        """Make it unless it is there."""
        record = self._root / volume.name / "volume.json"
        if volume.external and not record.exists():
            raise FailedError(_external_missing("volume", volume.name, instance))
        if not record.exists():
            (self._root / volume.name / "data").mkdir(parents=True, exist_ok=True)
            write_atomic(record, msgspec.json.encode(ObservedVolume(name=volume.name, instance=instance)))

    def data(self, name: str) -> Path | None:
        """Where its content lies, or None when there is no such volume."""
        path = self._root / name / "data"
        return path if path.is_dir() else None

    def remove(self, name: str) -> None:
        """Remove it with its content."""
        path = self._root / name
        if path.exists():
            (path / "volume.json").unlink(missing_ok=True)
            shutil.rmtree(path)

    def listed(self) -> Iterator[ObservedVolume]:
        """All volumes."""
        for content in _records(self._root, "*/volume.json"):
            yield msgspec.json.decode(content, type=ObservedVolume)


class Networks:
    """A network is a record: who shares one knows the other's name. Its gateway is where the edge may listen."""

    def __init__(self, state: Path, allocations: Allocations) -> None:
        self._root = state / "networks"
        self._allocations = allocations

    def create(self, network: Network, instance: str) -> None:
        """Make it unless it is there."""
        record = self._root / f"{network.name}.json"
        if record.exists():
            return
        if network.external:
            raise FailedError(_external_missing("network", network.name, instance))
        made = ObservedNetwork(
            name=network.name,
            id=network.name,
            instance=instance,
            subnets=(self._allocations.network(network.name),),
            driver="loopback",
            internal=network.internal,
        )
        write_atomic(record, msgspec.json.encode(made))

    def remove(self, name: str, instance: str) -> None:
        """Forget it; RefusedError when it is somebody else's."""
        found = next((network for network in self.listed() if network.name == name), None)
        if found is None:
            return
        if found.instance != instance:
            raise RefusedError(_not_ours(name, instance))
        (self._root / f"{name}.json").unlink(missing_ok=True)
        self._allocations.release_network(name)

    def listed(self) -> Iterator[ObservedNetwork]:
        """All networks."""
        for content in _records(self._root, "*.json"):
            yield msgspec.json.decode(content, type=ObservedNetwork)


def _records(root: Path, pattern: str) -> Iterator[bytes]:
    """What those files hold; several are removed at once, and one that went meanwhile is no more."""
    for record in sorted(root.glob(pattern)):
        with contextlib.suppress(FileNotFoundError):
            yield record.read_bytes()


def in_use(kind: str, name: str, users: Iterable[str]) -> Problem:
    """Why a network or volume stays."""
    return Problem(
        summary=f"{kind} {name} is still used by {', '.join(users)}",
        hint="remove those replicas first (`havre down`)",
        code=f"{kind}-in-use",
    )


def _external_missing(kind: str, name: str, instance: str) -> Problem:
    return Problem(
        summary=f"the external {kind} {name} does not exist",
        subject=instance,
        hint=f"deploy the app that owns it first, or let this app make it: remove `external` from the {kind}",
        code=f"external-{kind}",
    )


def _not_ours(name: str, instance: str) -> Problem:
    return Problem(
        summary=f"network {name} does not belong to {instance} and was left alone",
        hint="the app that made it removes it",
        code="network-foreign",
    )
