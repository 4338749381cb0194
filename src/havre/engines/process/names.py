"""How replicas find each other: the text of their hosts files, and the fallback where they cannot have one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from havre.engines.process.records import Launch

_BLOCK = 1024


def hosts_text(launch: Launch, others: Sequence[Launch]) -> str:
    """The hosts file of a replica.

    Itself first, then the names it was given (they win), then every running replica of the services it shares a
    network with. `localhost` is its own address: in its world there is nobody else.
    """
    given = {name for name, _ in (*launch.names, *launch.extra_hosts)}
    own = [name for name in (launch.service, *launch.aliases) if name not in given and launch.role == "replica"]
    lines = [" ".join([launch.address, "localhost", f"{launch.service}-{launch.slot}", *own])]
    lines += [f"{address} {name}" for name, address in (*launch.names, *launch.extra_hosts)]
    for other in sorted(others, key=lambda other: (other.service, -other.release, other.slot)):
        if other.role != "replica" or not _meet(launch, other):
            continue
        names = [name for name in (other.service, *other.aliases) if name not in given]
        if names:
            lines.append(f"{other.address} {' '.join(dict.fromkeys(names))}")
    return _padded("\n".join(lines) + "\n")


def addresses_by_name(launch: Launch, others: Sequence[Launch]) -> dict[str, str]:
    """One address for each name of the hosts file."""
    found: dict[str, str] = {}
    for line in hosts_text(launch, others).splitlines():
        address, *names = line.split() or [""]
        for name in names:
            found.setdefault(name, address)
    return found


def nsswitch_text(text: str) -> str:
    """The machine's own, but names come from the hosts file first, then from DNS."""
    lines = [line for line in text.splitlines() if not line.startswith("hosts:")]
    return "\n".join([*lines, "hosts: files dns"]) + "\n"


def with_addresses(value: str, addresses: Mapping[str, str]) -> str:
    """Host names put in as addresses, where they clearly are hosts: in URLs, and as `name:port`."""

    def authority(found: re.Match[str]) -> str:
        user, at, hosts = found[2].rpartition("@")
        return f"{found[1]}{user}{at}{','.join(_one(host, addresses) for host in hosts.split(','))}"

    if re.fullmatch(r"[\w.-]+:\d+(,[\w.-]+:\d+)*", value):
        return ",".join(_one(host, addresses) for host in value.split(","))
    return re.sub(r"\b([a-z][a-z0-9+.-]*://)([^/?#\s\"']+)", authority, value)


def variable_with_address(name: str, value: str, addresses: Mapping[str, str]) -> str:
    """The same for a variable: one called `…HOST`, `…SERVER` or `…ADDR` holds a bare name."""
    if re.search(r"(HOST|HOSTNAME|SERVER|ADDR|ADDRESS)$", name.upper()):
        return addresses.get(value, value)
    return with_addresses(value, addresses)


def host_variables(addresses: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """`HAVRE_HOST_POSTGRES`, for programs that nothing else reaches."""
    for name, address in sorted(addresses.items()):
        yield f"HAVRE_HOST_{re.sub(r'[^A-Z0-9]', '_', name.upper())}", address


def _one(host: str, addresses: Mapping[str, str]) -> str:
    name, colon, port = host.partition(":")
    return f"{addresses.get(name, name)}{colon}{port}"


def _meet(one: Launch, other: Launch) -> bool:
    return bool(set(one.networks) & set(other.networks)) or (not one.networks and not other.networks)


def _padded(text: str) -> str:
    """Always whole blocks, filled up with blanks: rewritten in place in one stroke, it never grows shorter."""
    return text + " " * ((-len(text.encode()) - 1) % _BLOCK) + "\n"
