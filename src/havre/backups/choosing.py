"""What to back up and how: by the manifest's policies, else by what the images are known to be; pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from havre.backups.databases import Databases
from havre.backups.files import Command, Directories
from havre.backups.mysql import Mysql
from havre.backups.mysql_databases import MysqlDatabases
from havre.backups.pg_databases import PostgresDatabases
from havre.backups.place import Kind, Place
from havre.backups.postgres import Postgres
from havre.backups.redis import Redis
from havre.checks.passwords import redis_password as asked_password
from havre.errors import InputError, Problem
from havre.model.app import App
from havre.model.backup import BackupPolicy
from havre.model.backup_kinds import image_kind, kind_named, written_places
from havre.model.images import KNOWN, image_name, known
from havre.model.project import Project, Service


def policies_for(app: App, project: Project, services: Sequence[str]) -> tuple[BackupPolicy, ...]:
    """The policies of the named services, or of all; a service without one is backed up by what its image is.

    Raises InputError for unknown services, and when nothing is known to hold data.
    """
    if unknown := [name for name in services if name not in project.service_names]:
        raise InputError([_unknown(app, project, name) for name in unknown])
    declared = {policy.service: policy for policy in app.backups if policy.service in project.service_names}
    if services:
        return tuple(declared.get(name) or BackupPolicy(service=name) for name in services)
    found = [service.name for service in project.services if runs(service) and service.name not in declared]
    chosen = (*declared.values(), *(BackupPolicy(service=name) for name in found))
    if not chosen:
        raise InputError(_nothing(app))
    return chosen


def unkept(app: App, project: Project) -> tuple[str, ...]:
    """The services that write volumes or directories of which nothing says how they are kept."""
    declared = {policy.service for policy in app.backups}
    data = {(mount.kind, mount.source) for one in project.services if one.name in declared for mount in one.mounts}
    return tuple(
        service.name
        for service in project.services
        if service.name not in declared
        and not runs(service)
        and any((mount.kind, mount.source) not in data for mount in service.stateful_mounts)
    )


def runs(service: Service) -> str | None:
    """`postgres`, `mysql` or `redis` when the service is such a server, and not a client that borrows its image."""
    kind = image_kind(service.image)
    return kind if known(service) or image_name(service.image) not in KNOWN else None


def kind_of(service: Service, policy: BackupPolicy) -> Kind:
    """How the service is backed up; raises InputError when nothing tells."""
    name = kind_named(policy, service.image)
    if name == "postgres":
        return Postgres(databases=policy.databases)
    if name == "mysql":
        return Mysql(databases=policy.databases)
    if name == "redis":
        return Redis(password=redis_password(service))
    if name == "command" and policy.command:
        return Command(command=policy.command, directory=policy.directory)
    paths = data_paths(service, policy)
    if not paths:
        raise InputError(_no_data(service))
    return Directories(paths=paths)


def databases_at(kind: str, place: Place, aside: Path) -> Databases:
    """The databases that snapshots of this kind (one of `DATABASE_KINDS`) are of; `aside` is a directory of Havre's."""
    return MysqlDatabases(place, aside) if kind == "mysql" else PostgresDatabases(place)


def data_paths(service: Service, policy: BackupPolicy) -> tuple[tuple[str, str], ...]:
    """(name, path in the replica) of the volumes and directories that hold its data."""
    wanted = set(policy.volumes)
    return tuple(
        (name, target)
        for name, source, target in written_places(service)
        if not wanted or wanted & {name, source, target}
    )


def part_names(service: Service, policy: BackupPolicy) -> frozenset[str]:
    """What the policy names, as the parts of a snapshot are called; empty where it names nothing: then it is all."""
    places = [place for place in written_places(service) if set(place) & set(policy.volumes)]
    return frozenset((*policy.databases, *(name for place in places for name in place if name)))


def redis_password(service: Service) -> str | None:
    """What the server asks for: said in its command line, or in its environment."""
    environment = dict(service.environment)
    return asked_password(service) or environment.get("REDIS_PASSWORD") or environment.get("REDISCLI_AUTH") or None


def _unknown(app: App, project: Project, name: str) -> Problem:
    return Problem(
        summary=f"there is no service `{name}`",
        subject=app.instance,
        evidence=(f"services: {', '.join(project.service_names)}",),
        hint="use one of the names above",
        code="service-unknown",
    )


def _nothing(app: App) -> Problem:
    return Problem(
        summary="nothing here is known to hold data",
        subject=app.instance,
        hint="say what to keep under `backups:` in havre.yaml, by service: `kind: volume` or `command: …`",
        code="backup-nothing",
    )


def _no_data(service: Service) -> Problem:
    return Problem(
        summary=f"nothing tells how to back up {service.name}",
        evidence=(f"its image is {service.image}, and it mounts no volume that it writes",),
        hint="say `kind:` under `backups:` in havre.yaml: postgres, mysql, redis, volume or command",
        code="backup-kind",
    )
