"""The list of all checks, in the order of their families; nothing registers itself."""

from __future__ import annotations

from havre.checks import (
    backup_policies,
    baked,
    binds,
    builds,
    commands,
    configurations,
    disk,
    edge_routes,
    exposure,
    first_logins,
    health,
    hygiene,
    loopback,
    memory,
    networks,
    passwords,
    ports,
    requirements,
    routes,
    unread,
    variables,
)
from havre.checks.case import Check

FAMILIES: tuple[tuple[str, tuple[Check, ...]], ...] = (
    ("Variables", (*variables.CHECKS, *unread.CHECKS, *passwords.CHECKS, *loopback.CHECKS, *first_logins.CHECKS)),
    ("Secrets", (*exposure.CHECKS, *baked.CHECKS)),
    ("Health checks", health.CHECKS),
    ("Routes and manifest", (*routes.CHECKS, *edge_routes.CHECKS)),
    ("Backups", backup_policies.CHECKS),
    ("Ports", ports.CHECKS),
    ("Networks and names", networks.CHECKS),
    ("Files", (*binds.CHECKS, *configurations.CHECKS)),
    ("Builds", builds.CHECKS),
    ("Commands", commands.CHECKS),
    ("Memory and disk", (*memory.CHECKS, *disk.CHECKS)),
    ("Server", requirements.CHECKS),
    ("Upkeep", hygiene.CHECKS),
)

ALL: tuple[Check, ...] = tuple(check for _, family in FAMILIES for check in family)


def check_called(check_id: str) -> Check | None:
    """The check with that id, or None."""
    return next((check for check in ALL if check.id == check_id), None)
