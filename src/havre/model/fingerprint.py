"""What a running replica was made from, field by field, so that a plan can say what changed (D12)."""

from __future__ import annotations

import hashlib
from dataclasses import MISSING, fields

import msgspec

from havre.model.project import Service

VERSION = 1
"""Raised only when every running replica must be replaced on the next release."""

NOT_PART_OF_A_REPLICA = frozenset(
    {
        "name", "image", "build", "replicas", "update", "needs", "stop_grace", "stop_grace_given",
        "pull_policy", "ports", "expose", "platform", "container_name",
    }
)  # fmt: skip
"""Fields of Service that do not change what one replica is made of: changing them restarts nobody.

The image is compared by its id, which the engine reports of every replica."""

IN_ANY_ORDER = frozenset({"labels", "environment", "sysctls", "networks", "cap_add", "cap_drop"})


def fingerprint(service: Service, files: tuple[tuple[str, str], ...] = ()) -> str:
    """`v1 command=1a2b3c4d environment=…`: changes exactly when a replica can no longer be kept.

    Fields at their default are left out and names are sorted, so that neither a new field with a default nor
    the order of fields in our source restarts anybody. `files` are the (target, sha256) of mounted configuration
    files and secrets, whose content is part of what runs.
    """
    parts = {}
    for item in fields(service):
        value = getattr(service, item.name)
        if item.name in NOT_PART_OF_A_REPLICA or (item.default is not MISSING and value == item.default):
            continue
        parts[item.name] = _digest(sorted(value, key=repr) if item.name in IN_ANY_ORDER else value)
    if files:
        parts["files"] = _digest(sorted(files))
    return " ".join([f"v{VERSION}", *(f"{name}={parts[name]}" for name in sorted(parts))])


def changed_parts(old: str, new: str) -> tuple[str, ...]:
    """The names of the fields in which two fingerprints differ, sorted; empty when they are equal."""
    before, after = _parts(old), _parts(new)
    return tuple(sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)))


def _digest(value: object) -> str:
    text = msgspec.json.encode(msgspec.to_builtins(value), order="sorted")
    return hashlib.sha256(text).hexdigest()[:12]


def _parts(text: str) -> dict[str, str]:
    words = text.split()
    parts = dict(word.split("=", 1) for word in words[1:] if "=" in word)
    return {"version": words[0] if words else "", **parts}
