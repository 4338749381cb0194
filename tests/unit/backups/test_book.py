"""Records on disk, and the verdict about a snapshot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from havre.backups.book import Book, judge, shrinkage, still_asked_for
from havre.model.backup import DrillReport, Part, Snapshot, Verdict


def snapshot(rows: int, *, at: float = 1.0, size: int = 1000, name: str = "shop") -> Snapshot:
    part = Part(name=name, file=f"{name}.pgdump", size=size, counts=(("public.orders", rows),))
    return Snapshot(
        id=f"db-{at}", instance="lexikon", service="db", kind="postgres", started_at=at, parts=(part,),
        verdict=Verdict.GOOD,
    )  # fmt: skip


def test_what_is_written_is_read_newest_first(tmp_path: Path) -> None:
    book, old, new = Book(tmp_path), snapshot(1, at=1.0), replace(snapshot(2, at=2.0), verdict=Verdict.SUSPICIOUS)
    book.write(old)
    book.write(new)
    assert Book(tmp_path).snapshots("lexikon") == (new, old)
    assert book.newest_good("lexikon", "db") == old
    assert book.snapshots("lexikon", "cache") == ()
    book.forget(old)
    assert book.newest_good("lexikon", "db") is None


def test_another_kind_is_no_predecessor(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.write(snapshot(5))
    assert book.newest_good("lexikon", "db", kind="volume") is None


def test_drills_are_kept(tmp_path: Path) -> None:
    report = DrillReport(instance="lexikon", service="db", snapshot="db-1", at=5.0, passed=True, rto=12.5)
    Book(tmp_path).write_drill(report)
    assert Book(tmp_path).drills("lexikon") == (report,)


def test_growth_and_small_changes_are_good() -> None:
    assert judge(snapshot(600), snapshot(900), ()).verdict is Verdict.GOOD
    assert judge(snapshot(2), snapshot(15), ()).verdict is Verdict.GOOD
    assert judge(snapshot(1), None, ()).verdict is Verdict.GOOD


def test_half_of_the_rows_gone_is_suspicious() -> None:
    judged = judge(snapshot(440), snapshot(900), ())
    assert (judged.verdict, judged.reasons[0]) == (Verdict.SUSPICIOUS, "shop, public.orders: 440 after 900")


def test_a_database_that_vanished_is_suspicious() -> None:
    assert shrinkage(snapshot(900, name="other"), snapshot(900)) == ("shop is not there any more",)


def test_what_the_policy_leaves_out_since_is_not_missed() -> None:
    two = replace(snapshot(900), parts=(*snapshot(900).parts, *snapshot(900, name="other").parts))
    assert shrinkage(snapshot(900), still_asked_for(two, {"shop"})) == ()
    assert shrinkage(snapshot(900), still_asked_for(two, ())) == ("other is not there any more",)
    assert shrinkage(snapshot(900, name="new"), still_asked_for(two, {"shop", "new"})) == (
        "shop is not there any more",
    )


def test_bytes_count_only_where_there_were_some() -> None:
    assert shrinkage(snapshot(900, size=10), snapshot(900, size=1000)) == ()
    assert shrinkage(snapshot(900, size=10), snapshot(900, size=10**6)) == ("shop, bytes: 10 after 1000000",)


def test_a_doubt_is_enough() -> None:
    judged = judge(snapshot(900), snapshot(900), ("the command wrote nothing",))
    assert (judged.verdict, judged.reasons) == (Verdict.SUSPICIOUS, ("the command wrote nothing",))
