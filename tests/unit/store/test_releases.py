"""The book of releases keeps what a rollback needs, across processes and crashes."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from havre.errors import UnavailableError
from havre.model.release import JournalEntry, PinnedImage, Release, ReleaseState, StepState
from havre.model.route import AppEdge, Route, Upstream
from havre.store.database import Database
from havre.store.instances import AuditLine, Instances, KnownInstance, StoredClaim
from havre.store.releases import Releases

EDGE = AppEdge(
    instance="shop",
    routes=(Route(host="shop.example", service="web", port=3000),),
    upstreams=((("web", 3000), (Upstream(name="web.1", address="172.20.0.2", port=3000),)),),
)


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    return Releases(Database(tmp_path / "havre.db"))


def begun(instance: str = "shop", kind: str = "deploy") -> Release:
    return Release(
        instance=instance, number=0, state=ReleaseState.RUNNING, kind=kind, started_at=100.0, by="ana", commit="abc"
    )


def served(releases: Releases, release: Release) -> Release:
    opened = releases.open(release, sealed=b"sealed", edge_before=None)
    done = replace(opened, state=ReleaseState.SERVING, ended_at=120.0)
    releases.close(done)
    return done


def test_numbers_count_up_per_instance_and_are_never_reused(releases: Releases) -> None:
    assert [releases.open(begun(), sealed=b"", edge_before=None).number for _ in range(3)] == [1, 2, 3]
    assert releases.open(begun("blog"), sealed=b"", edge_before=None).number == 1


def test_exactly_one_release_serves(releases: Releases) -> None:
    first, second = served(releases, begun()), served(releases, begun())
    assert releases.serving("shop") == second
    assert [release.state for release in releases.list("shop")] == [ReleaseState.SERVING, ReleaseState.SUPERSEDED]
    assert releases.get("shop", first.number) == replace(first, state=ReleaseState.SUPERSEDED)


def test_a_failed_release_leaves_the_serving_one_in_place(releases: Releases) -> None:
    good = served(releases, begun())
    bad = releases.open(begun(), sealed=b"", edge_before=None)
    releases.close(replace(bad, state=ReleaseState.FAILED, result="web exited with code 3"))
    assert releases.serving("shop") == good


def test_a_release_cut_short_is_found_again(releases: Releases) -> None:
    served(releases, begun())
    cut = releases.open(begun(), sealed=b"", edge_before=EDGE)
    found = releases.unfinished("shop")
    assert found is not None
    assert found.number == cut.number
    assert releases.edge_before("shop", cut.number) == EDGE
    assert releases.edge_before("shop", 1) is None


def test_the_whole_record_comes_back(releases: Releases) -> None:
    image = PinnedImage(service="web", reference="shop:2", image_id="sha256:1", digest="sha256:2")
    done = replace(
        releases.open(begun(), sealed=b"\x00age", edge_before=None),
        state=ReleaseState.SERVING,
        ended_at=130.5,
        images=(image,),
        phases=(("prepare", 1.5), ("start", 3.25)),
        result="deployed",
        schema_head="0002",
    )
    releases.close(done)
    assert releases.get("shop", 1) == done
    assert releases.sealed("shop", 1) == b"\x00age"


def test_the_journal_keeps_the_last_state_of_each_step(releases: Releases) -> None:
    step = JournalEntry(release=1, number=1, kind="StartReplica", text="start web.2", phase=4, state=StepState.PENDING)
    releases.write_journal("shop", [step, replace(step, number=2, text="route")])
    failed = replace(step, state=StepState.FAILED, started_at=1.0, ended_at=2.0, error="exited")
    releases.write_journal("shop", [failed])
    assert [entry.state for entry in releases.journal("shop", 1)] == [StepState.FAILED, StepState.PENDING]
    assert releases.journal("shop", 1)[0] == failed


def test_configurations_outside_the_retention_are_dropped(releases: Releases) -> None:
    for _ in range(3):
        served(releases, begun())
    releases.forget_sealed("shop", keep=[3, 2])
    assert [releases.sealed("shop", number) for number in (1, 2, 3)] == [None, b"sealed", b"sealed"]


def test_a_newer_database_is_refused_with_its_version(tmp_path: Path) -> None:
    path = tmp_path / "havre.db"
    Database(path)
    with sqlite3.connect(path) as sql:
        sql.execute("PRAGMA user_version = 99")
    sql.close()
    with pytest.raises(UnavailableError, match="newer Havre"):
        Database(path)


def test_a_file_that_is_no_database_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "havre.db"
    path.write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(UnavailableError, match="cannot be used"):
        Database(path)


def test_claims_are_replaced_as_a_whole(tmp_path: Path) -> None:
    instances = Instances(Database(tmp_path / "havre.db"))
    instances.replace_claims("shop", [StoredClaim(instance="shop", kind="port", value="8080/tcp", detail="web")])
    instances.replace_claims("blog", [StoredClaim(instance="blog", kind="port", value="8081/tcp")])
    instances.replace_claims("shop", [StoredClaim(instance="shop", kind="host", value="shop.example")])
    assert [(claim.instance, claim.value) for claim in instances.claims()] == [
        ("shop", "shop.example"),
        ("blog", "8081/tcp"),
    ]


def test_an_instance_keeps_its_first_day(tmp_path: Path) -> None:
    instances = Instances(Database(tmp_path / "havre.db"))
    known = KnownInstance(
        instance="shop", app="shop", environment="production", engine="docker", directory="/srv/shop", created_at=1.0
    )
    instances.remember(known)
    instances.remember(replace(known, created_at=9.0, directory="/opt/shop"))
    assert instances.list() == (replace(known, directory="/opt/shop"),)
    instances.forget("shop")
    assert instances.list() == ()


def test_the_audit_log_tells_the_newest_first_and_by_instance(tmp_path: Path) -> None:
    instances = Instances(Database(tmp_path / "havre.db"))
    for number, instance in enumerate(("shop", "blog", "shop")):
        line = AuditLine(at=float(number), by="ana", instance=instance, action=f"deploy {number}", outcome="serving")
        instances.write_audit(line)
    assert [line.action for line in instances.audit()] == ["deploy 2", "deploy 1", "deploy 0"]
    assert [line.action for line in instances.audit(instance="shop", limit=1)] == ["deploy 2"]


def test_a_scale_is_kept_until_the_file_counts_again(tmp_path: Path) -> None:
    instances = Instances(Database(tmp_path / "havre.db"))
    instances.scale("shop", "web", 3)
    instances.scale("shop", "web", 4)
    assert instances.scales("shop") == {"web": 4}
    instances.scale("shop", "web", None)
    assert instances.scales("shop") == {}
