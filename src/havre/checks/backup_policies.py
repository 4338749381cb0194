"""Checks of what the manifest says about backups: what would be passed over, or fail when a timer takes the first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from havre.checks.case import Case, Check
from havre.errors import Problem, Severity
from havre.model.backup import BackupPolicy
from havre.model.backup_kinds import READ_BY, SERVER_KINDS, image_kind, kind_named, written_places
from havre.model.images import known
from havre.model.project import Service
from havre.model.units import show_seconds

_SCHEMES = ("age", "s3", "sftp", "rest", "b2", "azure", "gs", "swift", "rclone", "local")
"""What a destination may begin with: the archive's own, and restic's."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


def _unread(case: Case) -> Iterator[Problem]:
    for policy, service in _policies(case):
        kind = kind_named(policy, service.image)
        for key in _given(policy):
            wanted = READ_BY[key]
            if kind in wanted or (key == "pitr" and policy.kind):  # the manifest's own rules tell the latter
                continue
            yield Problem(
                summary=f"`{key}` does nothing here: {service.name} is backed up as {kind}",
                subject=service.name,
                at=case.app.place(f"backups.{service.name}.{key}"),
                evidence=(_why(policy, service, kind),),
                effect="it would be passed over without a word, by backups, drills and restores alike",
                hint=f"remove it: it is for the {'kinds' if wanted[1:] else 'kind'} {' and '.join(wanted)} alone",
            )


def _given(policy: BackupPolicy) -> Iterator[str]:
    for key in READ_BY:
        if getattr(policy, "assertions" if key == "assert" else key):
            yield key


def _why(policy: BackupPolicy, service: Service, kind: str) -> str:
    if policy.kind:
        return f"it says `kind: {kind}`"
    if kind == image_kind(service.image):
        return f"its image is {service.image}"
    return f"`{kind}` is given" if kind == "command" else "its volumes and directories are what is left to keep"


def _impossible(case: Case) -> Iterator[Problem]:
    for policy, service in _policies(case):
        kind, facts = kind_named(policy, service.image), known(service)
        runs = image_kind(service.image) or (facts.kind if facts else None)
        at = case.app.place(f"backups.{service.name}.kind")
        if kind in SERVER_KINDS and runs not in (None, kind):
            yield Problem(
                summary=f"{service.name} cannot be backed up as {kind}: it runs {runs}",
                subject=service.name,
                at=at,
                evidence=(f"its image is {service.image}",),
                effect="every backup of it would fail",
                hint=f"write `kind: {runs}`, or remove `kind`" if image_kind(service.image) else _ITS_COMMAND,
            )
        if kind == "volume" and not written_places(service):
            yield Problem(
                summary=f"nothing tells how to back up {service.name}: it writes no volume and no directory",
                subject=service.name,
                at=at,
                evidence=(f"its image is {service.image}",),
                effect="every backup of it would fail",
                hint=_OTHERWISE,
            )


def _locked_out(case: Case) -> Iterator[Problem]:
    for policy, service in _policies(case):
        given = {name for name, value in service.environment if value}
        made_up = sorted(given & _MADE_UP)
        if kind_named(policy, service.image) == "mysql" and made_up and not given & _ROOT_PASSWORDS:
            yield Problem(
                summary=f"nobody can log in to {service.name} to back it up: it makes up its own root password",
                subject=service.name,
                at=case.app.place(f"backups.{service.name}"),
                evidence=(f"{made_up[0]} is set, and no root password is given",),
                effect="every backup of it would fail",
                hint="give the password in its log as `MARIADB_ROOT_PASSWORD` or `MYSQL_ROOT_PASSWORD` instead",
            )


_MADE_UP = frozenset({"MYSQL_RANDOM_ROOT_PASSWORD", "MARIADB_RANDOM_ROOT_PASSWORD"})
_ROOT_PASSWORDS = frozenset(
    f"{image}_ROOT_PASSWORD{ending}" for image in ("MYSQL", "MARIADB") for ending in ("", "_FILE")
)
_ITS_COMMAND = "remove `kind`, and give a `command` whose output is kept"
_OTHERWISE = (
    "say `kind: postgres`, `kind: mysql`, `kind: redis` or a `command` whose output is kept, "
    "or remove it from `backups`"
)


def _volumes(case: Case) -> Iterator[Problem]:
    for policy, service in _policies(case):
        names = [name for place in written_places(service) for name in dict.fromkeys(place) if name]
        for index, name in enumerate(policy.volumes if names else ()):
            if name not in names:
                close = get_close_matches(name, names, n=1)
                yield Problem(
                    summary=f"{service.name} writes no volume or directory `{name}`",
                    subject=service.name,
                    at=case.app.place(f"backups.{service.name}.volumes[{index}]"),
                    evidence=(f"it writes {', '.join(place[0] for place in written_places(service))}",),
                    effect="it would be in no backup",
                    hint=f"did you mean `{close[0]}`?" if close else "correct the name, or remove it",
                )


def _destinations(case: Case) -> Iterator[Problem]:
    for policy, service in _policies(case):
        for index, url in enumerate(policy.to):
            scheme = _SCHEME.match(url)
            if scheme and scheme[1] not in _SCHEMES:
                yield Problem(
                    summary=f"no backup can be kept at `{scheme[1]}:`",
                    subject=service.name,
                    at=case.app.place(f"backups.{service.name}.to[{index}]"),
                    evidence=(f"known are a directory, {', '.join(f'{one}:' for one in _SCHEMES)}",),
                    effect="every backup of it would fail",
                    hint="write for example `/mnt/backup`, `sftp://user@host//path` or `s3:https://host/bucket`",
                )


def _promises(case: Case) -> Iterator[Problem]:
    between = dict(case.between_backups)
    for policy, service in _policies(case):
        if policy.rpo is None:
            continue
        key, value, least = (
            ("pitr.ship", show_seconds(policy.pitr.ship), policy.pitr.ship)
            if policy.pitr
            else ("schedule", policy.schedule or "", between.get(service.name, 0.0))
        )
        if policy.rpo < least:
            yield Problem(
                summary=f"`rpo` promises {show_seconds(policy.rpo)}, and up to {show_seconds(least)} can be lost",
                subject=service.name,
                at=case.app.place(f"backups.{service.name}.rpo"),
                evidence=(f"`{key}` is {value}: so long nothing new is kept",),
                effect="`havre backup status` would tell it as broken while everything works",
                hint=_TO_KEEP_IT[key],
            )


_TO_KEEP_IT = {
    "schedule": "back up more often (`schedule`), keep the log of a PostgreSQL (`pitr: true`), or promise less",
    "pitr.ship": "ship the log more often (`pitr: {ship: …}`), or promise less",
}


def _policies(case: Case) -> Iterator[tuple[BackupPolicy, Service]]:
    by_name = {service.name: service for service in case.project.services}
    for policy in case.app.backups:
        if policy.service in by_name:
            yield policy, by_name[policy.service]


CHECKS = (
    Check(
        id="backup-key-unread",
        severity=Severity.ERROR,
        title="what is said of a backup is for its kind",
        doc="Assertions, databases, volumes and commands each belong to their kinds; others pass them over.",
        find=_unread,
    ),
    Check(
        id="backup-kind",
        severity=Severity.ERROR,
        title="each service of `backups` can be backed up as it says",
        doc="Compared with what its image is known to run, and with what it writes.",
        find=_impossible,
    ),
    Check(
        id="backup-login",
        severity=Severity.ERROR,
        title="a backup can log in to the MySQL or MariaDB that it is of",
        doc="It does so as root, with the password in the service's environment or in the file that it names.",
        find=_locked_out,
    ),
    Check(
        id="backup-volume",
        severity=Severity.ERROR,
        title="the volumes to back up are ones that the service writes",
        doc="By the volume's name, its directory on this server, or its path in the replica.",
        find=_volumes,
    ),
    Check(
        id="backup-destination",
        severity=Severity.ERROR,
        title="backups go where something can take them",
        doc="A directory of this machine, or an address that begins with what restic or the archive knows.",
        find=_destinations,
    ),
    Check(
        id="backup-rpo",
        severity=Severity.WARNING,
        title="the promised `rpo` can be kept",
        doc="Compared with the longest time between two moments of its `schedule`, or with `pitr`'s `ship`.",
        find=_promises,
    ),
)
