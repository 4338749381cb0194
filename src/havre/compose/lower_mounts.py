"""Lowers `volumes` to mounts, and lends them to other services (`volumes_from`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from havre.compose.lower_values import mode, pairs
from havre.compose.units import parse_size
from havre.model.project import Mount, MountKind


def lower_mounts(volumes: Sequence[Mapping[str, Any]]) -> tuple[Mount, ...]:
    """The mounts of one service, in the order of the file."""
    return tuple(_mount(volume) for volume in volumes)


def borrow_mounts(own: tuple[Mount, ...], lenders: Sequence[tuple[tuple[Mount, ...], bool]]) -> tuple[Mount, ...]:
    """`own` plus what each lender (its mounts, whether read-only) has at a target that is still free.

    Anonymous volumes stay with their service: they belong to one replica, which may be replaced at any time.
    """
    mounts = {mount.target: mount for mount in own}
    for lent, read_only in lenders:
        for mount in lent:
            if mount.source is not None and mount.target not in mounts:
                mounts[mount.target] = replace(mount, read_only=mount.read_only or read_only)
    return tuple(mounts.values())


def _mount(volume: Mapping[str, Any]) -> Mount:
    bind, named, tmpfs = (volume.get(key) or {} for key in ("bind", "volume", "tmpfs"))
    return Mount(
        kind=MountKind(volume["type"]),
        target=volume["target"],
        source=volume.get("source") or None,
        read_only=bool(volume.get("read_only")),
        create_host_path=bind.get("create_host_path") is not False,
        propagation=bind.get("propagation"),
        selinux=bind.get("selinux"),
        nocopy=bool(named.get("nocopy")),
        subpath=named.get("subpath"),
        size=parse_size(tmpfs["size"]) if tmpfs.get("size") else None,
        mode=mode(tmpfs["mode"]) if tmpfs.get("mode") is not None else None,
        labels=pairs(named.get("labels") or {}),
    )
