"""How well an app's data is kept at this moment: age against the promise, verdicts, and drills."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from havre.backups.choosing import policies_for
from havre.model.backup import BackupPolicy, DrillReport, Snapshot, Verdict
from havre.model.pitr import Window
from havre.model.units import show_seconds
from havre.workflows.backup import Storage
from havre.workflows.intent import Intent
from havre.workflows.wal_status import wal_status

DAY = 86400.0
GRACE = 3600.0
"""Seconds by which a scheduled backup may be late before it is called overdue."""
DRILL_PERIODS = {"daily": DAY, "weekly": 7 * DAY, "monthly": 31 * DAY}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One service: `age` is that of its newest good snapshot; `rpo` is what losing the server now would cost (seconds).

    `windows` are what point-in-time recovery can restore.
    """

    service: str
    newest: Snapshot | None
    age: float | None
    drill: DrillReport | None
    rpo: float | None = None
    windows: tuple[Window, ...] = ()
    problems: tuple[str, ...] = ()


def status_of(storage: Storage, intent: Intent, now: float) -> tuple[ServiceStatus, ...]:
    """Every service that has a policy or is known to hold data."""
    policies = policies_for(intent.app, intent.project, ())
    return tuple(_status(storage, intent, policy, now) for policy in policies)


def _status(storage: Storage, intent: Intent, policy: BackupPolicy, now: float) -> ServiceStatus:
    instance = intent.app.instance
    known = storage.book.snapshots(instance, policy.service)
    newest = next((snapshot for snapshot in known if snapshot.is_good), None)
    drill = next((one for one in storage.book.drills(instance) if one.service == policy.service), None)
    log = wal_status(storage, intent, policy, now) if policy.pitr else None
    ages = [now - newest.started_at] if newest else []
    return ServiceStatus(
        service=policy.service,
        newest=newest,
        age=ages[0] if ages else None,
        drill=drill,
        rpo=min([*ages, *([log.rpo] if log and log.rpo is not None else [])], default=None),
        windows=log.windows if log else (),
        problems=(*problems_of(policy, known, drill, now), *(log.problems if log else ())),
    )


def problems_of(
    policy: BackupPolicy, known: tuple[Snapshot, ...], drill: DrillReport | None, now: float
) -> Iterator[str]:
    """What is wrong with a service's snapshots (newest first) and its newest drill."""
    newest = next((snapshot for snapshot in known if snapshot.is_good), None)
    if known and known[0].verdict is not Verdict.GOOD:
        yield f"the last one {known[0].verdict.value}: {'; '.join(known[0].reasons)}"
    promised = None if policy.pitr else policy.rpo  # its log keeps that promise
    allowed = promised or (DAY + GRACE if policy.schedule else None)
    if newest is None:
        if policy.pitr is None or policy.schedule:
            yield "there is no good backup"
    elif allowed is not None and now - newest.started_at > allowed:
        yield f"overdue: older than {show_seconds(allowed)}"
    if policy.drill is None:
        return
    period = DRILL_PERIODS.get(policy.drill, 31 * DAY)
    if drill is None or now - drill.at > period + DAY:
        yield "its restore drill is overdue"
    elif not drill.passed:
        yield "its last restore drill failed"
    elif policy.rto is not None and drill.rto > policy.rto:
        yield f"a restore took {show_seconds(drill.rto)}, more than the promised {show_seconds(policy.rto)}"
