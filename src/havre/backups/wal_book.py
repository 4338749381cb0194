"""What is known of the write-ahead log of each service: a file on this server, and the same as tags in the repository.

The repository alone is enough to know it again: a base's record is stored last of it, and a shipment says in its tags
which files it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from havre.backups.repository import Listed, Repository
from havre.host.files import write_atomic
from havre.model.pitr import Archive, Base, Shipment

BASE_RECORD, BASE_TAG, BASE_TAR_TAG, WAL_TAG = "base.json", "havre-base", "havre-base-tar", "havre-wal"


class WalBook:
    """The archives of one server, as files below its state directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "wal"

    def read(self, instance: str, service: str) -> Archive:
        """What is known; nothing, when nothing was ever kept."""
        path = self._path(instance, service)
        return msgspec.json.decode(path.read_bytes(), type=Archive) if path.exists() else Archive()

    def write(self, instance: str, service: str, archive: Archive) -> None:
        """Remember it; durable when this returns."""
        write_atomic(self._path(instance, service), msgspec.json.encode(archive), mode=0o600)

    def _path(self, instance: str, service: str) -> Path:
        return self._directory / instance / f"{service}.json"


def base_tags(instance: str, service: str, base_id: str) -> list[str]:
    """How a base backup is found in the repository."""
    return [f"instance={instance}", f"service={service}", f"backup={base_id}"]


def shipment_tags(instance: str, service: str, shipment: Shipment) -> list[str]:
    """Everything there is to know of a shipment."""
    return [
        *base_tags(instance, service, shipment.id),
        WAL_TAG,
        f"chain={shipment.chain}",
        f"first={shipment.first}",
        f"last={shipment.last}",
        f"partial={int(shipment.is_partial)}",
        f"until={int(shipment.until)}",
        f"position={shipment.position}",
    ]


def store_base_record(repository: Repository, base: Base) -> None:
    """The last thing stored of a base: without it, it does not count."""
    tags = [*base_tags(base.instance, base.service, base.id), BASE_TAG]
    repository.store_small(BASE_RECORD, tags, msgspec.json.encode(base))


def read_archives(repository: Repository, instance: str) -> Mapping[str, Archive]:
    """By service, what a repository holds of an instance, for a server that lost everything; no chain is open."""
    wanted = [f"instance={instance}"]
    contents = [repository.read_small(listed.id, BASE_RECORD) for listed in repository.snapshots([*wanted, BASE_TAG])]
    bases = [
        replace(msgspec.json.decode(content, type=Base), repository=repository.url, restic="") for content in contents
    ]
    shipments = list(_shipments(repository.snapshots([*wanted, WAL_TAG])))
    services = dict.fromkeys(base.service for base in bases)
    return {
        service: _archive(
            [base for base in bases if base.service == service], [one for owner, one in shipments if owner == service]
        )
        for service in services
    }


def _archive(bases: Sequence[Base], shipments: Sequence[Shipment]) -> Archive:
    chains = {base.chain.id: base.chain for base in bases}
    ended = {
        name: max((shipment.until for shipment in shipments if shipment.chain == name), default=chain.began)
        for name, chain in chains.items()
    }
    closed = (replace(chain, ended=ended[name], reason="its server is gone") for name, chain in chains.items())
    return Archive(chains=tuple(closed), bases=tuple(bases), shipments=tuple(shipments))


def _shipments(listed: Sequence[Listed]) -> Iterator[tuple[str, Shipment]]:
    for entry in listed:
        tags = dict(tag.split("=", 1) for tag in entry.tags if "=" in tag)
        yield (
            tags["service"],
            Shipment(
                id=tags["backup"],
                chain=tags["chain"],
                first=int(tags["first"]),
                last=int(tags["last"]),
                is_partial=tags["partial"] == "1",
                until=float(tags["until"]),
                position=int(tags["position"]),
            ),
        )
