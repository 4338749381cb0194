"""Whose credentials a storage is reached with, when the environment has others than the sealed ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from havre.backups.archive import Archive
from havre.workflows.storage import reaches

KEY, OTHER = "havre-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa", "havre-bbbb-bbbb-bbbb-bbbb-bbbb-bbbb-bbbb-bbbb"


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Archive]:
    """A repository, the same with a key that does not open it, and a place without one."""
    directory = tmp_path_factory.mktemp("repositories")
    made = Archive(str(directory / "made"), KEY)
    made.make()
    return {"opens": made, "refuses": Archive(made.url, OTHER), "empty": Archive(str(Path(directory) / "none"), KEY)}


@pytest.mark.parametrize(
    ("given", "sealed", "taken"),
    [
        ("opens", "opens", True),
        ("opens", "refuses", True),
        ("refuses", "opens", False),
        ("refuses", "refuses", False),
        ("empty", "opens", False),
        ("empty", "refuses", True),
        ("empty", "empty", True),
    ],
)
def test_given_credentials_are_taken_where_they_open_it_or_the_sealed_ones_do_not(
    places: dict[str, Archive], given: str, sealed: str, taken: bool
) -> None:
    assert reaches(places[given], instead_of=places[sealed]) is taken
