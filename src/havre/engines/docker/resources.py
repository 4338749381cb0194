"""Networks and volumes: made when missing, removed only when they are ours and unused."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from havre.engines.docker import addresses, labels
from havre.engines.docker.client import DockerClient
from havre.engines.docker.translate import network_body, volume_body
from havre.errors import FailedError, Problem, RefusedError
from havre.model.project import Network, Volume

Json = Mapping[str, Any]

BUILT_IN = (*((f"172.{second}.0.0/16", 16) for second in range(17, 32)), ("192.168.0.0/16", 20))
"""The pools of an engine that was told nothing else."""


class Resources:
    """The networks and volumes of one engine."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client

    def networks(self) -> list[Json]:
        """All networks of the engine."""
        found: list[Json] = self._client.get("/networks", doing="list networks")
        return found

    def address_pools(self) -> tuple[tuple[str, int], ...]:
        """(range, bits): the engine's own setting, else what it has built in."""
        told = self._client.get("/info", doing="ask for the pools of networks").get("DefaultAddressPools") or ()
        return tuple((pool["Base"], int(pool["Size"])) for pool in told if ":" not in pool["Base"]) or BUILT_IN

    def volumes(self) -> list[Json]:
        """All volumes of the engine."""
        return self._client.get("/volumes", doing="list volumes").get("Volumes") or []

    def create_network(self, network: Network, instance: str) -> None:
        """Make a network; one of that name that exists already is taken as it is."""
        existing = self.networks()
        if any(found["Name"] == network.name for found in existing):
            return
        if network.external:
            raise FailedError(_external_missing("network", network.name, instance))
        doing = f"create network {network.name}"
        body = network_body(network, instance)
        reply = self._client.post("/networks/create", body, doing=doing, accept=(403, 409))
        if reply.status >= 400 and not self._exists(network.name):
            raise FailedError(_no_network(network, reply.json().get("message", ""), existing, instance))
        if reply.status < 400 and body["Driver"] == "bridge" and "IPAM" not in body:
            self._settle_subnets(reply.json()["Id"], body, doing=doing)

    def _settle_subnets(self, made: str, body: dict[str, Any], *, doing: str) -> None:
        """Make a network anew with the subnets that the engine found for it: only then can addresses be chosen.

        Somebody may take them in between: then it stays as the engine makes it.
        """
        given = addresses.ranges(self._client.get(f"/networks/{made}", doing=doing))
        self._client.delete(f"/networks/{made}", doing=doing)
        fixed = {"IPAM": {"Driver": "default", "Config": given}, "Labels": body["Labels"] | {labels.ADDRESSES: "fixed"}}
        reply = self._client.post("/networks/create", body | fixed, doing=doing, accept=(403, 409))
        if reply.status >= 400:
            self._client.post("/networks/create", body, doing=doing, accept=(409,))

    def remove_network(self, name: str, instance: str) -> None:
        """Remove a network of this instance; RefusedError when it is somebody else's."""
        found = self._client.find(f"/networks/{name}", doing=f"look at network {name}")
        if found is None:
            return
        if (found.get("Labels") or {}).get(labels.INSTANCE) != instance:
            raise RefusedError(_not_ours("network", name, instance))
        attached = sorted(entry["Name"] for entry in (found.get("Containers") or {}).values())
        if attached:
            raise FailedError(_in_use("network", name, attached))
        self._client.delete(f"/networks/{found['Id']}", doing=f"remove network {name}")

    def create_volume(self, volume: Volume, instance: str) -> None:
        """Make a volume; one of that name that exists already keeps its data and its options."""
        doing = f"create volume {volume.name}"
        if self._client.find(f"/volumes/{volume.name}", doing=doing) is not None:
            return
        if volume.external:
            raise FailedError(_external_missing("volume", volume.name, instance))
        self._client.post("/volumes/create", volume_body(volume, instance), doing=doing)

    def remove_volume(self, name: str) -> None:
        """Remove a volume that no container uses; the plan has made sure that the user typed its name (I8)."""
        doing = f"remove volume {name}"
        reply = self._client.delete(f"/volumes/{name}", doing=doing, accept=(404, 409))
        if reply.status == 409:
            query = {"all": True, "filters": {"volume": [name]}}
            users = self._client.get("/containers/json", query, doing=f"see who uses volume {name}")
            raise FailedError(_in_use("volume", name, sorted(entry["Names"][0].lstrip("/") for entry in users)))

    def _exists(self, name: str) -> bool:
        return any(found["Name"] == name for found in self.networks())


def overlapping(subnet: str, networks: Iterable[Json]) -> tuple[str, str] | None:
    """(name, subnet) of the first network whose range overlaps with `subnet`."""
    wanted = ipaddress.ip_network(subnet, strict=False)
    for found in networks:
        for taken in _ranges(found):
            if taken.version == wanted.version and taken.overlaps(wanted):
                return found["Name"], str(taken)
    return None


def free_subnet(like: str, networks: Iterable[Json]) -> str | None:
    """The next free subnet of the same size in the same private range; None when that is full."""
    wanted = ipaddress.ip_network(like, strict=False)
    taken = [entry for found in networks for entry in _ranges(found) if entry.version == wanted.version]
    if wanted.version != 4:
        return None
    step = wanted.num_addresses
    start = int(wanted.network_address)
    for number in range(1, 4096):
        candidate = ipaddress.ip_network((start + number * step, wanted.prefixlen))
        if candidate.is_private and not any(candidate.overlaps(entry) for entry in taken):
            return str(candidate)
    return None


def _ranges(found: Json) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    entries = (found.get("IPAM") or {}).get("Config") or []
    return [ipaddress.ip_network(entry["Subnet"], strict=False) for entry in entries if entry.get("Subnet")]


def _no_network(network: Network, message: str, existing: list[Json], instance: str) -> Problem:
    evidence, hint = [message], "`havre networks` shows what is taken, and proposes a free subnet"
    for subnet, _ in network.subnets:
        if owner := overlapping(subnet, existing):
            evidence.append(f"{subnet} overlaps with network {owner[0]}, which has {owner[1]}")
            free = free_subnet(subnet, existing)
            if free:
                hint = f"use {free} instead, which is free, or remove network {owner[0]} when nothing needs it"
    return Problem(
        summary=f"network {network.name} could not be created",
        subject=instance,
        evidence=tuple(evidence),
        effect="nothing that serves was touched",
        hint=hint,
        code="subnet-overlap" if len(evidence) > 1 else "network-refused",
    )


def _external_missing(kind: str, name: str, instance: str) -> Problem:
    return Problem(
        summary=f"the external {kind} {name} does not exist",
        subject=instance,
        effect="nothing was started",
        hint=f"somebody else makes it (it is `external`): deploy that app first, or run `docker {kind} create {name}`",
        code=f"{kind}-missing",
    )


def _not_ours(kind: str, name: str, instance: str) -> Problem:
    return Problem(
        summary=f"{kind} {name} does not belong to {instance} and was left alone",
        hint=f"`docker {kind} inspect {name}` shows whose it is",
        code="not-ours",
    )


def _in_use(kind: str, name: str, users: list[str]) -> Problem:
    return Problem(
        summary=f"{kind} {name} is still used by {', '.join(users)}",
        effect="it was left as it is",
        hint="stop and remove what uses it first",
        code=f"{kind}-in-use",
    )
