"""Which kind of backup a service gets, and which keys of a policy each kind reads."""

from __future__ import annotations

import re
from collections.abc import Mapping

from havre.model.backup import BackupPolicy
from havre.model.project import Service

READ_BY: Mapping[str, str] = {
    "databases": "postgres",
    "assert": "postgres",
    "pitr": "postgres",
    "volumes": "volume",
    "command": "command",
    "directory": "command",
    "restore_command": "command",
}
"""The keys of a policy that one kind alone reads."""
_POSTGRES = re.compile(r"(?:^|/)(?:postgres|postgresql|postgis|timescaledb(?:-ha)?|pgvector)(?=[:@]|$)")
_REDIS = re.compile(r"(?:^|/)(?:redis|redis-stack-server|valkey|keydb)(?=[:@]|$)")


def image_kind(image: str) -> str | None:
    """`postgres` or `redis` when the image's name says so."""
    return "postgres" if _POSTGRES.search(image) else "redis" if _REDIS.search(image) else None


def kind_named(policy: BackupPolicy, image: str) -> str:
    """The kind that the policy names, else the one that its keys imply, else the image's; directories otherwise."""
    implied = "command" if policy.command else "volume" if policy.volumes else None
    return policy.kind or implied or image_kind(image) or "volume"


def written_places(service: Service) -> tuple[tuple[str, str, str], ...]:
    """(short name, source, path in the replica) of the volumes and directories that hold a service's data."""
    return tuple(
        (_short(mount.source or mount.target), mount.source or "", mount.target) for mount in service.stateful_mounts
    )


def _short(source: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", source).strip("-")
