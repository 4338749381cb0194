"""Which snapshots may go: pure, and on the safe side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from havre.model.backup import Retention, Snapshot, Verdict

DOUBTED_DAYS = 30
"""Suspicious snapshots are kept this long for a person to look at; they never take the place of a good one."""


def to_forget(snapshots: Sequence[Snapshot], keep: Retention, now: float) -> tuple[Snapshot, ...]:
    """The snapshots of one service that nothing asks to keep.

    Only good ones fill the places by day, week and month, and the newest `minimum` of them (one at the very
    least) stay whatever their age. What was taken before a restore or a migration stays as long as a doubted one.
    """
    ordinary = sorted((s for s in snapshots if s.is_good and s.purpose == "backup"), key=_by_time, reverse=True)
    good = sorted((s for s in snapshots if s.is_good), key=_by_time, reverse=True)
    kept = {snapshot.id for snapshot in good[: max(keep.minimum, 1)]}
    kept |= {snapshot.id for snapshot in ordinary[: keep.last]}
    for places, period in ((keep.daily, "%Y-%m-%d"), (keep.weekly, "%G-%V"), (keep.monthly, "%Y-%m")):
        kept |= {snapshot.id for snapshot in _newest_of_each(ordinary, _period(period), places)}
    young = now - DOUBTED_DAYS * 86400
    return tuple(
        snapshot
        for snapshot in sorted(snapshots, key=_by_time)
        if snapshot.id not in kept and not (_is_special(snapshot) and snapshot.started_at > young)
    )


def _is_special(snapshot: Snapshot) -> bool:
    return snapshot.verdict is not Verdict.GOOD or snapshot.purpose != "backup"


def _newest_of_each(
    newest_first: Sequence[Snapshot], period: Callable[[Snapshot], str], places: int
) -> tuple[Snapshot, ...]:
    found: dict[str, Snapshot] = {}
    for snapshot in newest_first:
        found.setdefault(period(snapshot), snapshot)
    return tuple(found.values())[:places]


def _period(pattern: str) -> Callable[[Snapshot], str]:
    return lambda snapshot: datetime.fromtimestamp(snapshot.started_at, UTC).strftime(pattern)


def _by_time(snapshot: Snapshot) -> float:
    return snapshot.started_at
