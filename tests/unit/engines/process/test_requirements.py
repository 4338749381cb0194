"""What makes two source trees share one environment, and what keeps them apart."""

from __future__ import annotations

from pathlib import Path

from havre.engines.process.requirements import wanted_packages


def _source(app: Path, **files: str) -> str:
    app.mkdir(exist_ok=True)
    for name, text in files.items():
        (app / name.replace("__", ".")).write_text(text)
    wanted = wanted_packages(app, app)
    assert wanted
    return wanted.source


def test_included_files_count_and_one_that_is_missing_is_left_to_the_installer(tmp_path: Path) -> None:
    listed = "-r base.txt\n--constraint=limits.txt\n-r missing.txt\n"
    files = {"requirements__txt": listed, "base__txt": "flask\n", "limits__txt": "flask<3\n"}
    first, second = _source(tmp_path / "a", **files), _source(tmp_path / "b", **files)
    assert first == second, "the same everywhere"
    assert _source(tmp_path / "b", limits__txt="flask<4\n") != first


def test_a_package_from_the_tree_belongs_to_that_tree_alone(tmp_path: Path) -> None:
    for line in ("-e .", "./libs/common", "common @ file:libs/common"):
        files = {"requirements__txt": f"{line}\n"}
        assert _source(tmp_path / "a", **files) != _source(tmp_path / "b", **files), line


def test_nothing_that_asks_is_no_environment(tmp_path: Path) -> None:
    assert wanted_packages(tmp_path, tmp_path) is None
