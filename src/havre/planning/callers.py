"""Who loses requests while a service is away: those that the edge leads to, and that cannot answer without it."""

from __future__ import annotations

from collections.abc import Collection

from havre.model.calls import targets
from havre.model.project import Project
from havre.planning.compare import needs_of
from havre.planning.order import everything_under


class Callers:
    """Who calls whom in a project, or in what serves until it does: its replicas run on until the switch."""

    def __init__(self, project: Project, serving: Project | None = None) -> None:
        self._services = {service.name: service for service in project.services}
        self._users: dict[str, set[str]] = {}
        for one in (project, *([serving] if serving else [])):
            for name, users in _users(one).items():
                self._users.setdefault(name, set()).update(users)

    def of(self, service: str, *, led: Collection[str], met: Collection[str]) -> tuple[str, ...]:
        """The services in `led` whose requests reach `service` directly, or through others on the way to it.

        A service in `met` is called through the edge by others too: their calls wait at its door, so they need not.
        What `service` depends on itself is left out, for it could not start while that is held.
        """
        seen: set[str] = {service}
        ahead = [] if service in met else [service]
        while ahead:
            for user in self._users.get(ahead.pop(), ()):
                if user not in seen:
                    seen.add(user)
                    ahead += [] if user in met else [user]
        needed = everything_under(service, self._services)
        return tuple(sorted((seen & set(led)) - needed - {service}))


def _users(project: Project) -> dict[str, set[str]]:
    """For each service, those that depend on it or have its address in their environment; jobs serve nobody."""
    found: dict[str, set[str]] = {}
    jobs = project.jobs
    for user in project.services:
        if user.name not in jobs:
            needed = (need.service for need in needs_of(user))
            for name in (*needed, *(target.service for target in targets(project, user))):
                found.setdefault(name, set()).add(user.name)
    return found
