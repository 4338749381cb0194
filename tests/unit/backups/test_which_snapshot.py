"""A snapshot that cannot be restored is explained by what there is instead."""

from __future__ import annotations

import pytest

from havre.errors import InputError
from havre.model.backup import Part, Snapshot, Verdict
from havre.workflows.which_snapshot import chosen_snapshot, refuse_unknown_service


def kept(service: str, day: int, *parts: str, verdict: Verdict = Verdict.GOOD, purpose: str = "backup") -> Snapshot:
    return Snapshot(
        id=f"{service}-2026112{day}", instance="shop", service=service, kind="postgres", started_at=day * 86400.0,
        verdict=verdict, reasons=() if verdict is Verdict.GOOD else ("its own words",),
        parts=tuple(Part(name=name, file=name) for name in parts), purpose=purpose,
    )  # fmt: skip


KNOWN = (
    kept("db", 9, verdict=Verdict.FAILED),
    kept("db", 8, "shop", verdict=Verdict.SUSPICIOUS),
    kept("db", 7, "shop", purpose="before-restore"),
    kept("db", 6, "shop"),
    kept("api", 5, "uploads"),
    kept("cache", 4, verdict=Verdict.FAILED),
)


def test_the_newest_good_one_is_chosen_and_a_suspicious_one_by_its_id_alone() -> None:
    assert chosen_snapshot(KNOWN, "shop", "db", None).id == "db-20261126"
    assert chosen_snapshot(KNOWN, "shop", "db", "db-20261127").purpose == "before-restore"
    assert chosen_snapshot(KNOWN, "shop", "db", "db-20261128", doubtful=True).id == "db-20261128"


NONE_OF = "there is no good snapshot of {}"
OTHERWISE = "`havre backup list` shows what there is; `havre backup` takes one"


@pytest.mark.parametrize(
    ("service", "wanted", "summary", "hint"),
    [
        ("dbb", None, NONE_OF.format("dbb"), "did you mean `db`?"),
        ("cache", None, NONE_OF.format("cache"), OTHERWISE),
        (
            "uploads",
            None,
            NONE_OF.format("uploads"),
            "it is part of the snapshots of api: `havre restore api --only uploads`",
        ),
        (
            "db",
            "api-20261125",
            "there is no snapshot api-20261125 of db",
            "it is one of api: `havre restore api api-20261125`",
        ),
        ("db", "db-2026126", "there is no snapshot db-2026126 of db", "did you mean `db-20261126`?"),
        ("db", "yesterday", "there is no snapshot yesterday of db", OTHERWISE),
        (
            "db",
            "db-20261129",
            "db-20261129 failed, so there is nothing in it to restore",
            "without an id the newest good one is taken; `havre backup list` shows all",
        ),
        (
            "db",
            "db-20261128",
            "the snapshot db-20261128 is suspicious",
            "choose a good one (`havre backup list`), or give --doubtful when this is the one you want",
        ),
    ],
)
def test_one_that_is_not_there_is_told_with_what_was_meant(
    service: str, wanted: str | None, summary: str, hint: str
) -> None:
    with pytest.raises(InputError) as refused:
        chosen_snapshot(KNOWN, "shop", service, wanted)
    [problem] = refused.value.problems
    assert (problem.summary, problem.hint) == (summary, hint)


def test_a_service_that_is_neither_in_the_files_nor_in_a_snapshot_is_a_slip() -> None:
    refuse_unknown_service(KNOWN, "shop", "web", ["web"])
    refuse_unknown_service(KNOWN, "shop", "cache", [])
    with pytest.raises(InputError) as refused:
        refuse_unknown_service(KNOWN, "shop", "wbe", ["web"])
    assert [one.hint for one in refused.value.problems] == ["did you mean `web`?"]
    with pytest.raises(InputError, match="no good snapshot of wbe"):
        refuse_unknown_service((), "shop", "wbe", [])
