"""Which app a command means, by the directory that it is given in."""

from __future__ import annotations

from pathlib import Path

import pytest

from havre.errors import InputError
from havre.workflows.intent import Wish, find_project, read_app


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """An app with a manifest, and a directory two levels below it."""
    (tmp_path / "shop/src/api").mkdir(parents=True)
    (tmp_path / "shop/havre.yaml").write_text("app: boutique\n")
    return tmp_path / "shop"


def test_every_directory_of_an_app_means_the_app(shop: Path) -> None:
    for directory in (shop, shop / "src", shop / "src/api"):
        app = read_app(Wish(directory=str(directory)))
        assert (app.name, app.directory) == ("boutique", str(shop))


def test_the_nearest_project_wins(shop: Path) -> None:
    (shop / "src/compose.yaml").write_text("services: {}\n")
    app = read_app(Wish(directory=str(shop / "src/api")))
    assert (app.name, app.directory) == ("src", str(shop / "src"))


def test_a_directory_of_no_app_means_itself(tmp_path: Path) -> None:
    assert find_project(tmp_path) is None
    assert read_app(Wish(directory=str(tmp_path))).directory == str(tmp_path)


def test_a_mistake_in_the_manifest_here_is_shown_by_its_own_name(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "havre.yaml").write_text("ap: boutique\n")
    monkeypatch.chdir(shop)
    with pytest.raises(InputError) as raised:
        read_app(Wish())
    assert {problem.at.file for problem in raised.value.problems if problem.at} == {"havre.yaml"}
