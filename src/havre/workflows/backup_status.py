"""How well an app's data is kept at this moment: age against the promise, what is due next, verdicts, and drills."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from havre.backups.choosing import policies_for
from havre.host.schedule import next_time, period
from havre.model.backup import BackupPolicy, DrillReport, Snapshot, Verdict
from havre.model.pitr import Window
from havre.model.secrets_mask import mask_url
from havre.model.units import show_seconds
from havre.workflows.intent import Intent
from havre.workflows.storage import Storage
from havre.workflows.wal_status import wal_status

DAY = 86400.0
GRACE = 3600.0
"""Seconds by which a scheduled backup may be late before it is called overdue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One service: `age` is that of its newest good snapshot; `rpo` is what losing the server now would cost.

    Seconds, as are the promises; `next` and `next_drill` are moments, None where nothing is scheduled. `windows` are
    what point-in-time recovery can restore.
    """

    service: str
    newest: Snapshot | None
    age: float | None
    rpo: float | None
    promised_rpo: float | None
    promised_rto: float | None
    next: float | None
    drill: DrillReport | None
    next_drill: float | None
    windows: tuple[Window, ...] = ()
    problems: tuple[str, ...] = ()


def status_of(storage: Storage, intent: Intent, now: float) -> tuple[ServiceStatus, ...]:
    """Every service that has a policy or is known to hold data."""
    policies = policies_for(intent.app, intent.project, ())
    return tuple(_status(storage, intent, policy, now) for policy in policies)


def _status(storage: Storage, intent: Intent, policy: BackupPolicy, now: float) -> ServiceStatus:
    instance = intent.app.instance
    known = storage.book.snapshots(instance, policy.service)
    newest = _newest_good(known)
    drill = decisive([one for one in storage.book.drills(instance) if one.service == policy.service])
    log = wal_status(storage, intent, policy, now) if policy.pitr else None
    ages = [now - newest.started_at] if newest else []
    return ServiceStatus(
        service=policy.service,
        newest=newest,
        age=ages[0] if ages else None,
        rpo=min([*ages, *([log.rpo] if log and log.rpo is not None else [])], default=None),
        promised_rpo=allowed_age(policy, now),
        promised_rto=policy.rto,
        next=next_time(policy.schedule, now) if policy.schedule else None,
        drill=drill,
        next_drill=next_time(policy.drill, now) if policy.drill else None,
        windows=log.windows if log else (),
        problems=(
            *problems_of(policy, known, drill, now),
            *_not_everywhere(newest, storage.urls(policy)),
            *(log.problems if log else ()),
        ),
    )


def problems_of(
    policy: BackupPolicy, known: Sequence[Snapshot], drill: DrillReport | None, now: float
) -> Iterator[str]:
    """What is wrong with a service's snapshots (newest first) and its newest drill."""
    newest = _newest_good(known)
    if known and known[0].verdict is not Verdict.GOOD:
        yield f"the last one {known[0].verdict.value}: {'; '.join(known[0].reasons)}"
    allowed = _snapshot_age(policy, now)
    if newest is None:
        if policy.pitr is None or policy.schedule:
            yield "there is no good backup"
    elif allowed is not None and now - newest.started_at > allowed:
        yield f"overdue: older than {show_seconds(allowed)}"
    if policy.drill is not None:
        yield from _drill_problems(policy, policy.drill, known, drill, now)


def _not_everywhere(newest: Snapshot | None, urls: Sequence[str]) -> Iterator[str]:
    if newest is not None and (lacking := [mask_url(url) for url in urls if url not in newest.places]):
        yield f"the newest one is not in {', '.join(lacking)}"


def allowed_age(policy: BackupPolicy, now: float) -> float | None:
    """The promised RPO, else what the schedule implies; None where nothing is promised or scheduled."""
    if policy.rpo is not None or policy.schedule is None:
        return policy.rpo
    return period(policy.schedule, now) + GRACE


def _snapshot_age(policy: BackupPolicy, now: float) -> float | None:
    """How old its newest snapshot may be; with `pitr` the log keeps the promise, and only the schedule counts."""
    return allowed_age(replace(policy, rpo=None) if policy.pitr else policy, now)


def _drill_problems(
    policy: BackupPolicy, schedule: str, known: Sequence[Snapshot], drill: DrillReport | None, now: float
) -> Iterator[str]:
    """A drill that was never held falls due one period after the first good backup."""
    first = min((one.started_at for one in known if one.is_good), default=now)
    since = drill.at if drill is not None else first
    if now - since > period(schedule, now) + DAY:
        yield "its restore drill is overdue"
    elif drill is not None and not drill.passed:
        yield "its last restore drill failed"
    elif drill is not None and policy.rto is not None and drill.rto > policy.rto:
        yield f"a restore took {show_seconds(drill.rto)}, more than the promised {show_seconds(policy.rto)}"


def decisive(drills: Sequence[DrillReport]) -> DrillReport | None:
    """Of the newest drill of each way to restore (newest first): one that failed, else the one that took longest."""
    newest = [next((one for one in drills if one.from_log is way), None) for way in (False, True)]
    return max((one for one in newest if one), key=lambda one: (not one.passed, one.rto), default=None)


def _newest_good(known: Sequence[Snapshot]) -> Snapshot | None:
    return next((snapshot for snapshot in known if snapshot.is_good), None)
