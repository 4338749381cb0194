"""What the manifest's data tells about itself: names, places, backups."""

from __future__ import annotations

from dataclasses import replace

from havre.errors import Location
from havre.model.app import App, SecretSource, Support
from havre.model.backup import Part, Snapshot, Verdict


def test_production_has_the_plain_name_and_other_environments_their_own() -> None:
    assert App(name="shop").instance == "shop"
    assert App(name="shop", environment="staging").instance == "shop-staging"


def test_secrets_are_known_by_name() -> None:
    app = App(name="shop", secrets=(SecretSource(name="A"), SecretSource(name="B", command=("pass", "b"))))
    assert app.secret_names == ("A", "B")


def test_the_place_of_a_key_is_the_nearest_that_was_written() -> None:
    top, route = Location("havre.yaml", 1), Location("havre.yaml", 4)
    app = App(name="shop", places=(("routes", top), ("routes[0]", route)))
    assert app.place("routes[0].host") == route
    assert app.place("routes[1].host") == top
    assert app.place("backups") is None


def test_a_snapshot_sums_its_parts() -> None:
    rows = Part(name="db", file="db.dump", size=10, counts=(("users", 3), ("posts", 4)))
    files = Part(name="files", file="files.tar", size=5)
    snapshot = Snapshot(id="s", instance="shop", service="db", kind="postgres", started_at=0.0, parts=(rows, files))
    assert (snapshot.size, rows.total, files.total) == (15, 7, 0)
    assert snapshot.part("files") == files
    assert snapshot.part("none") is None
    assert not snapshot.is_good
    assert replace(snapshot, verdict=Verdict.GOOD).is_good
    kept = replace(snapshot, repository="/backups", copies=("s3:elsewhere",))
    assert kept.places == ("/backups", "s3:elsewhere")
    assert replace(kept, parts=()).places == (), "a failed one is nowhere"


def test_what_is_said_of_support_is_shown_row_by_row_and_nothing_else() -> None:
    said = Support(runbook="docs/runbook.md", status_page="https://status.example.org", contacts=(("ops", "o@e.org"),))
    assert said.rows == (
        ("runbook", "docs/runbook.md"),
        ("status page", "https://status.example.org"),
        ("ops", "o@e.org"),
    )
    assert Support().rows == ()
