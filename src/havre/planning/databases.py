"""Which databases a service works with: by what it depends on, and by what its environment names; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from havre.model.project import Project, Service

_URL = re.compile(
    r"(?:^|[\s'\"])(?:jdbc:)?(?P<scheme>[a-z][a-z0-9+]*)://(?:[^/@\s]*@)?(?P<host>[A-Za-z0-9._-]+)(?::(?P<port>\d+))?"
    r"(?:/(?P<name>[^?\s'\"]*))?"
)
_PORTS = {"postgres": 5432, "mysql": 3306, "mariadb": 3306, "mongodb": 27017, "sqlserver": 1433}
_HOST = re.compile(r"(?:^PG|(?:^|_)(?:DB|DATABASE|POSTGRES|POSTGRESQL|PG|MYSQL|MARIADB)_)HOST(?:NAME)?$")


def under(project: Project, service: Service) -> tuple[str, ...]:
    """The services that `service` names in its environment or depends on, directly or not."""
    names = {name: other.name for name, other in project.called.items()}
    found: dict[str, None] = {}
    ahead = [service]
    while ahead:
        current = ahead.pop()
        named = [names[host] for host, _ in _hosts(current) if host in names]
        for name in (*named, *(need.service for need in current.needs)):
            if name not in found and name != service.name and name in project.service_names:
                found[name] = None
                ahead.append(project.service(name))
    return tuple(name for name in project.service_names if name in found)


def database_names(service: Service) -> frozenset[str]:
    """What may be the name of a database in a service's environment: the path of a URL, or a whole value."""
    names = {value for _, value in service.environment if value and re.fullmatch(r"[\w.-]{1,63}", value)}
    for _, value in service.environment:
        names |= {match["name"] for match in _URL.finditer(value or "") if match["name"]}
    return frozenset(names)


def database_locks(project: Project, instance: str, service: Service) -> tuple[str, ...]:
    """Names of the database servers that a service works with, the same for every instance that shares one.

    A server of the instance itself is known by the instance, and by the names that other instances on a shared
    network call it by.
    """
    names = project.called
    found: set[str] = set()
    for host, port in _hosts(service):
        own = names.get(host)
        if own is None:
            found.add(f"{host}:{port}")
            continue
        found.add(f"{instance}/{own.name}")
        found |= {f"{name}:{port}" for name in _shared_names(project, own)}
    return tuple(sorted(found))


def _hosts(service: Service) -> Iterator[tuple[str, int]]:
    """(host, port) of the database servers that the environment names."""
    values = {name: value for name, value in service.environment if value}
    for name, value in values.items():
        for match in _URL.finditer(value):
            port = next((port for scheme, port in _PORTS.items() if match["scheme"].startswith(scheme)), None)
            if port is not None:
                yield match["host"], int(match["port"] or port)
        if _HOST.search(name) and re.fullmatch(r"[A-Za-z0-9._-]+", value):
            beside = values.get(re.sub(r"HOST(?:NAME)?$", "PORT", name), "")
            yield value, int(beside) if beside.isdigit() else 3306 if "MYSQL" in name or "MARIADB" in name else 5432


def _shared_names(project: Project, service: Service) -> set[str]:
    """How other instances call it: on networks that are not this project's own."""
    external = {network.key for network in project.networks if network.external}
    attached = [attachment for attachment in service.networks if attachment.network in external]
    names = {alias for attachment in attached for alias in attachment.aliases}
    return (
        names
        | ({service.name} if attached else set())
        | ({service.container_name} if service.container_name else set())
    )
