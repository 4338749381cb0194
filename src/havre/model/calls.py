"""Which services a service calls, by its own configuration: the addresses in its environment, with the ports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from havre.model.images import known, port_number
from havre.model.project import Project, Service

_AUTHORITY = re.compile(r"//(?:[^/@\s]*@)?(?P<host>[A-Za-z0-9._-]+)(?::(?P<port>\d+))?")
_PAIR = re.compile(r"^(?P<host>[A-Za-z0-9._-]+):(?P<port>\d+)$")
_SCHEMES = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a service connects to by its own configuration; port 0 where that does not say."""

    service: str
    port: int
    setting: str


def targets(project: Project, service: Service) -> tuple[Target, ...]:
    """The services that a service's environment names, with the ports."""
    return tuple(dict.fromkeys(_targets(service, project.called)))


def _targets(service: Service, names: Mapping[str, Service]) -> Iterator[Target]:
    values = {name: value for name, value in service.environment if value}
    for name, value in values.items():
        for match in _AUTHORITY.finditer(value):
            if match["host"] in names:
                other = names[match["host"]]
                scheme = value.partition("://")[0]
                yield Target(other.name, int(match["port"] or 0) or _SCHEMES.get(scheme) or _port_of(other), name)
        pair = _PAIR.match(value)
        if pair and pair["host"] in names:
            yield Target(names[pair["host"]].name, int(pair["port"]), name)
        if value in names and name.endswith(("HOST", "HOSTNAME", "SERVER", "ADDR")):
            beside = values.get(re.sub(r"(?:HOST|HOSTNAME|SERVER|ADDR)$", "PORT", name), "")
            yield Target(names[value].name, port_number(beside) or _port_of(names[value]), name)


def _port_of(service: Service) -> int:
    facts = known(service)
    return facts.port if facts else 0
