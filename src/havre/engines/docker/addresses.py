"""Give replicas addresses that they keep.

Docker gives a container another address each time it starts, the lowest that is free: after a crash or a restart of
the engine a replica may have the address of another, and the edge, which nobody tells, would lead to that one. So
Havre chooses: from the upper half of a network, where Docker's own choice does not come to.
"""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from havre.engines.docker import labels

Json = Mapping[str, Any]


def is_fixed(network: Json) -> bool:
    """True for a network made by Havre in which addresses can be chosen."""
    return (network.get("Labels") or {}).get(labels.ADDRESSES) == "fixed" and network.get("Driver") == "bridge"


def ranges(network: Json) -> list[dict[str, str]]:
    """The subnets that the engine gave a network, as they are asked for in a request."""
    entries = (network.get("IPAM") or {}).get("Config") or []
    return [{name: entry[name] for name in ("Subnet", "Gateway") if entry.get(name)} for entry in entries]


def taken_addresses(network: str, containers: Collection[Json]) -> set[str]:
    """Addresses of a network that containers have, or will have when they run again."""
    found: set[str] = set()
    for container in containers:
        endpoint = ((container.get("NetworkSettings") or {}).get("Networks") or {}).get(network) or {}
        found |= {endpoint.get("IPAddress") or "", (endpoint.get("IPAMConfig") or {}).get("IPv4Address") or ""}
    return found - {""}


def choose(network: Json, taken: Collection[str], instance: str) -> str | None:
    """A free IPv4 address of the network, or None; instances that share a network begin at different places."""
    for entry in (network.get("IPAM") or {}).get("Config") or []:
        subnet = ipaddress.ip_network(entry["Subnet"], strict=False)
        if subnet.version != 4 or subnet.num_addresses < 8:
            continue
        reserved = {entry.get("Gateway"), *(entry.get("AuxiliaryAddresses") or {}).values(), *taken}
        return next((one for one in _candidates(subnet, instance) if one not in reserved), None)
    return None


def _candidates(subnet: ipaddress.IPv4Network | ipaddress.IPv6Network, instance: str) -> Iterator[str]:
    half = subnet.num_addresses // 2
    start = zlib.crc32(instance.encode()) % (half // 2)
    for number in range(half - 1):
        yield str(subnet[subnet.num_addresses - 2 - (start + number) % (half - 1)])
