"""What Havre writes on everything it makes, so that the engine itself knows what runs (D3), and how it names it."""

from __future__ import annotations

from collections.abc import Mapping

INSTANCE = "havre.instance"
SERVICE = "havre.service"
SLOT = "havre.slot"
RELEASE = "havre.release"
FINGERPRINT = "havre.fingerprint"
ROLE = "havre.role"
TASK = "havre.task"
"""On one-off containers: a digest of the command, so that a step done again finds the run it began."""
ADDRESSES = "havre.addresses"
"""On networks: `fixed` where the subnet was asked for, which is when Docker lets addresses be chosen."""
PRE_STOP = "havre.pre-stop"
"""The replica's own `pre_stop` hooks: they must run even when the project has changed since."""

FIRST_TASK_SLOT = 9001
"""Jobs and tasks are numbered from here, so that they never take a slot a plan meant for a replica."""


def container_name(instance: str, service: str, slot: int, role: str = "replica") -> str:
    """`lexikon-backend-1`; one-offs say what they are: `lexikon-backend-task-9001`."""
    return f"{instance}-{service}-{slot}" if role == "replica" else f"{instance}-{service}-{role}-{slot}"


def select(instance: str, service: str | None = None, slot: int | None = None) -> dict[str, object]:
    """A filter for exactly the containers Havre made for this instance (and service, and slot)."""
    wanted = [f"{INSTANCE}={instance}"]
    if service is not None:
        wanted.append(f"{SERVICE}={service}")
    if slot is not None:
        wanted.append(f"{SLOT}={slot}")
    return {"label": wanted}


def number(labels: Mapping[str, str], name: str) -> int:
    """A label's number, 0 when it has none."""
    text = labels.get(name, "")
    return int(text) if text.isdigit() else 0
