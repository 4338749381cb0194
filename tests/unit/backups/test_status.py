"""The status says what is wrong, and nothing when all is well."""

from __future__ import annotations

from dataclasses import replace

from havre.model.backup import BackupPolicy, DrillReport, Snapshot, Verdict
from havre.workflows.backup_status import decisive, problems_of

DAY = 86400.0
NOW = 1_800_000_000.0


def taken(age: float, verdict: Verdict = Verdict.GOOD, *reasons: str) -> Snapshot:
    return Snapshot(
        id="db-1",
        instance="shop",
        service="db",
        kind="postgres",
        started_at=NOW - age,
        verdict=verdict,
        reasons=reasons,
    )


def drilled(age: float, *, passed: bool = True, rto: float = 10.0) -> DrillReport:
    return DrillReport(instance="shop", service="db", snapshot="db-1", at=NOW - age, passed=passed, rto=rto)


def problems(policy: BackupPolicy, *known: Snapshot, drill: DrillReport | None = None) -> list[str]:
    return list(problems_of(policy, known, drill, NOW))


def test_a_fresh_good_backup_and_drill_have_no_problem() -> None:
    policy = BackupPolicy(service="db", schedule="0 2 * * *", drill="monthly", rto=60.0)
    assert problems(policy, taken(DAY / 2), drill=drilled(20 * DAY)) == []


def test_without_a_good_backup_there_is_none() -> None:
    found = problems(BackupPolicy(service="db"), taken(5, Verdict.FAILED, "the disk is full"))
    assert found == ["the last one failed: the disk is full", "there is no good backup"]


def test_a_scheduled_backup_may_not_be_older_than_its_promise() -> None:
    assert problems(BackupPolicy(service="db", schedule="0 2 * * *"), taken(2 * DAY)) == ["overdue: older than 1 d 1 h"]
    assert problems(BackupPolicy(service="db", rpo=3600.0), taken(2 * 3600)) == ["overdue: older than 1 h"]
    assert problems(BackupPolicy(service="db"), taken(90 * DAY)) == []


def test_what_a_schedule_implies_is_its_own_period() -> None:
    weekly = BackupPolicy(service="db", schedule="0 2 * * 0")
    assert problems(weekly, taken(6 * DAY)) == []
    assert problems(weekly, taken(8 * DAY)) == ["overdue: older than 7 d 1 h"]
    assert problems(BackupPolicy(service="db", schedule="0 */6 * * *"), taken(DAY / 2)) == ["overdue: older than 7 h"]


def test_drills_fall_due_fail_and_take_too_long() -> None:
    weekly = BackupPolicy(service="db", drill="weekly", rto=60.0)
    assert problems(weekly, taken(5)) == [], "the first one falls due a period after the first backup"
    assert problems(weekly, taken(5), taken(9 * DAY)) == ["its restore drill is overdue"]
    assert problems(weekly, taken(5), drill=drilled(9 * DAY)) == ["its restore drill is overdue"]
    assert problems(weekly, taken(5), drill=drilled(DAY, passed=False)) == ["its last restore drill failed"]
    assert problems(weekly, taken(5), drill=drilled(DAY, rto=90.0)) == [
        "a restore took 1 min 30 s, more than the promised 1 min"
    ]


def test_of_two_ways_to_restore_the_failed_or_slower_one_decides() -> None:
    dump, log = drilled(60), replace(drilled(50, rto=30.0), from_log=True)
    assert decisive([log, dump]) == log
    failed = drilled(60, passed=False)
    assert decisive([log, failed, drilled(3600)]) == failed
    assert decisive([log, dump, failed]) == log, "what failed was drilled again since"
    assert decisive([]) is None
