"""What may be forgotten: never the last good ones, never because of a doubtful one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from havre.backups.retention import DOUBTED_DAYS, to_forget
from havre.model.backup import Retention, Snapshot, Verdict

DAY = 86400.0
NOW = 1_800_000_000.0


def taken(days_ago: float, verdict: Verdict = Verdict.GOOD, purpose: str = "backup") -> Snapshot:
    return Snapshot(
        id=f"db-{days_ago}-{verdict.value}-{purpose}", instance="shop", service="db", kind="postgres",
        started_at=NOW - days_ago * DAY, verdict=verdict, purpose=purpose,
    )  # fmt: skip


def ages(snapshots: tuple[Snapshot, ...]) -> list[int]:
    return sorted(round((NOW - snapshot.started_at) / DAY) for snapshot in snapshots)


def test_one_for_each_of_the_last_days_stays() -> None:
    daily = [taken(days) for days in range(12)]
    assert ages(to_forget(daily, Retention(daily=7, minimum=3), NOW)) == [7, 8, 9, 10, 11]


def test_the_newest_of_each_week_and_month_stays() -> None:
    known = [taken(days) for days in range(100)]
    gone = to_forget(known, Retention(daily=2, weekly=3, monthly=3, minimum=1), NOW)
    assert len(known) - len(gone) <= 2 + 3 + 3
    assert 0 not in ages(gone)
    assert 1 not in ages(gone)


def test_old_good_ones_stay_when_there_is_nothing_newer() -> None:
    known = [taken(days) for days in (400, 500, 600, 700)]
    assert ages(to_forget(known, Retention(daily=1, minimum=3), NOW)) == [700]


def test_failed_and_suspicious_ones_take_nobodys_place() -> None:
    known = [taken(3), *(taken(days / 10, Verdict.SUSPICIOUS) for days in range(20)), taken(1, Verdict.FAILED)]
    assert to_forget(known, Retention(last=1, daily=0, minimum=1), NOW) == ()


def test_doubtful_ones_go_after_a_while() -> None:
    known = [taken(1), taken(DOUBTED_DAYS + 1, Verdict.SUSPICIOUS), taken(DOUBTED_DAYS + 2, Verdict.FAILED)]
    assert ages(to_forget(known, Retention(), NOW)) == [DOUBTED_DAYS + 1, DOUBTED_DAYS + 2]


def test_a_safeguard_is_kept_beside_the_regular_ones() -> None:
    known = [taken(0), taken(2, purpose="safeguard"), taken(40, purpose="before-restore")]
    assert ages(to_forget(known, Retention(last=1, daily=0, minimum=1), NOW)) == [40]


snapshots = st.lists(
    st.builds(
        taken,
        st.floats(0, 3000, allow_nan=False),
        st.sampled_from(list(Verdict)),
        st.sampled_from(["backup", "safeguard", "before-restore"]),
    ),
    max_size=30,
    unique_by=lambda snapshot: snapshot.id,
)
policies = st.builds(
    Retention, last=st.integers(0, 5), daily=st.integers(0, 9), weekly=st.integers(0, 5),
    monthly=st.integers(0, 5), minimum=st.integers(0, 5),
)  # fmt: skip


@given(snapshots, policies)
def test_the_newest_good_ones_always_stay(known: list[Snapshot], keep: Retention) -> None:
    gone = {snapshot.id for snapshot in to_forget(known, keep, NOW)}
    good = sorted((s for s in known if s.is_good), key=lambda s: s.started_at, reverse=True)
    assert not gone & {snapshot.id for snapshot in good[: max(1, keep.minimum)]}


@given(snapshots, policies)
def test_what_stays_does_not_depend_on_bad_ones(known: list[Snapshot], keep: Retention) -> None:
    good = [snapshot for snapshot in known if snapshot.is_good]
    gone = {snapshot.id for snapshot in to_forget(known, keep, NOW) if snapshot.is_good}
    assert gone == {snapshot.id for snapshot in to_forget(good, keep, NOW)}
