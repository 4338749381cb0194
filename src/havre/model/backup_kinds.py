"""Which kind of backup a service gets, and which keys of a policy each kind reads."""

from __future__ import annotations

import re
from collections.abc import Mapping

from havre.model.backup import BackupPolicy
from havre.model.project import Service

DATABASE_KINDS = ("postgres", "mysql")
"""Those whose snapshots are databases, each restored beside the live one."""
SERVER_KINDS = (*DATABASE_KINDS, "redis")
"""Those that a running server of that kind is asked for."""
READ_BY: Mapping[str, tuple[str, ...]] = {
    "databases": DATABASE_KINDS,
    "assert": DATABASE_KINDS,
    "pitr": ("postgres",),
    "volumes": ("volume",),
    "command": ("command",),
    "directory": ("command",),
    "restore_command": ("command",),
}
"""The keys of a policy that some kinds alone read."""
_IMAGES: Mapping[str, re.Pattern[str]] = {
    kind: re.compile(rf"(?:^|/)(?:{names})(?=[:@]|$)")
    for kind, names in {
        "postgres": "postgres|postgresql|postgis|timescaledb(?:-ha)?|pgvector",
        "mysql": "mysql|mysql-server|mariadb|mariadb-galera|percona|percona-server|percona-xtradb-cluster",
        "redis": "redis|redis-stack-server|valkey|keydb",
    }.items()
}


def image_kind(image: str) -> str | None:
    """`postgres`, `mysql` or `redis` when the image's name says so."""
    return next((kind for kind, names in _IMAGES.items() if names.search(image)), None)


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
