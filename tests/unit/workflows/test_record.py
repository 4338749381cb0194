"""A release's record of the manifest keeps the places that messages name, in a form that does not change."""

from __future__ import annotations

import msgspec

from havre.errors import Location
from havre.model.app import App
from havre.workflows.record import app_from_json, app_to_json


def test_the_places_of_the_manifest_come_back() -> None:
    app = App(name="shop", places=(("routes[0].host", Location("havre.yaml", 4, 7)),))
    found = app_from_json(app_to_json(app))
    assert found == app
    assert found.place("routes[0].host") == Location("havre.yaml", 4, 7)


def test_a_place_is_recorded_by_names() -> None:
    """Rollbacks read records that earlier versions wrote."""
    app = App(name="shop", places=(("app", Location("havre.yaml", 1)),))
    assert msgspec.json.decode(app_to_json(app))["places"] == [["app", {"file": "havre.yaml", "line": 1, "column": 0}]]
