"""Which services of a project are enabled: by profile, and by name with what they depend on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from havre.compose.findings import Findings, closest
from havre.compose.tree import Map


def select_services(root: Map, profiles: Iterable[str], names: Iterable[str], findings: Findings) -> tuple[str, ...]:
    """Remove what is not enabled, in place; gives the names of the removed services.

    Naming a service enables it whatever its profiles, and everything it depends on.
    """
    services = root.get("services")
    if not isinstance(services, Map):
        return ()
    active = {profile.strip() for profile in profiles}
    wanted = list(names)
    enabled = {name for name, service in services.items() if _has_profile(service, active) or name in wanted}
    if wanted:
        enabled = _with_dependencies(services, wanted, enabled, findings)
    disabled = [name for name in services if name not in enabled]
    for name in disabled:
        del services[name]
    return tuple(disabled)


def drop_unused(root: Map) -> None:
    """Remove the networks, volumes, secrets, configs and models no enabled service refers to, in place."""
    services = root.get("services") or {}
    used = {reference for service in services.values() for reference in _references(service)}
    for section in ("networks", "volumes", "secrets", "configs", "models"):
        resources = root.get(section) or Map()
        for name in [name for name in resources if (section, name) not in used]:
            del resources[name]


def _references(service: Map) -> Iterator[tuple[str, str]]:
    for section in ("networks", "models"):
        for name in service.get(section) or ():
            yield section, name
    for section in ("volumes", "secrets", "configs"):
        for mount in service.get(section) or ():
            yield section, mount.get("source")
    build = service.get("build") or {}
    for mount in build.get("secrets") or ():
        yield "secrets", mount.get("source")


def _has_profile(service: Map, active: set[str]) -> bool:
    profiles = service.get("profiles") or ()
    return not profiles or "*" in active or any(profile in active for profile in profiles)


def _with_dependencies(services: Map, wanted: list[str], enabled: set[str], findings: Findings) -> set[str]:
    found: set[str] = set()
    left = list(wanted)
    for name in wanted:
        if name not in services:
            findings.error(f"no such service: {name}", hint=closest(name, services) or "name a service", code="service")
    while left:
        name = left.pop()
        if name in found or name not in services:
            continue
        found.add(name)
        dependencies = services[name].get("depends_on") or {}
        left.extend(other for other in dependencies if other in enabled)
    return found
