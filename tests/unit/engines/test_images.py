"""Names of built images: they change exactly when the image would."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from havre.engines.images import check_sources, context_digest, context_files, dockerfile_text
from havre.errors import InputError
from havre.model.project import Build


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small context."""
    (tmp_path / "Dockerfile").write_text("FROM alpine\nCOPY . /src\n")
    (tmp_path / "app.py").write_text("print(1)\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.txt").write_text("b")
    return tmp_path


def build(directory: Path, **changes: object) -> Build:
    return replace(Build(context=str(directory)), **changes)  # type: ignore[arg-type]


def test_the_same_content_has_the_same_digest_anywhere_and_at_any_time(
    source: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = tmp_path_factory.mktemp("copy")
    for path in sorted(source.rglob("*")):
        target = copy / path.relative_to(source)
        target.mkdir() if path.is_dir() else target.write_bytes(path.read_bytes())
    os.utime(copy / "app.py", (1, 1))

    assert context_digest(build(copy)) == context_digest(build(source))


def change_a_file(source: Path) -> None:
    (source / "app.py").write_text("print(2)\n")


def add_a_file(source: Path) -> None:
    (source / "new.py").touch()


def rename_a_file(source: Path) -> None:
    (source / "app.py").rename(source / "main.py")


def make_a_file_executable(source: Path) -> None:
    (source / "app.py").chmod(0o755)


def change_the_dockerfile(source: Path) -> None:
    (source / "Dockerfile").write_text("FROM alpine\n")


def add_a_link(source: Path) -> None:
    (source / "link").symlink_to("app.py")


def add_an_empty_directory(source: Path) -> None:
    (source / "empty").mkdir()


@pytest.mark.parametrize(
    "change",
    [
        change_a_file, add_a_file, rename_a_file, make_a_file_executable, change_the_dockerfile, add_a_link,
        add_an_empty_directory,
    ],
    ids=lambda change: change.__name__,
)  # fmt: skip
def test_a_change_of_the_source_changes_the_digest(source: Path, change: object) -> None:
    before = context_digest(build(source))

    change(source)  # type: ignore[operator]

    assert context_digest(build(source)) != before


@pytest.mark.parametrize(
    "changes",
    [{"args": (("A", "1"),)}, {"target": "prod"}, {"labels": (("a", "b"),)}, {"dockerfile_inline": "FROM debian\n"}],
)
def test_a_change_of_what_is_built_changes_the_digest(source: Path, changes: dict[str, object]) -> None:
    assert context_digest(build(source, **changes)) != context_digest(build(source))


@pytest.mark.parametrize("changes", [{"no_cache": True}, {"pull": True}, {"tags": ("x:1",)}, {"cache_from": ("y",)}])
def test_a_change_of_how_it_is_built_does_not(source: Path, changes: dict[str, object]) -> None:
    assert context_digest(build(source, **changes)) == context_digest(build(source))


def test_ignored_files_do_not_count(source: Path) -> None:
    (source / ".dockerignore").write_text("*.log\n.dockerignore\n")
    before = context_digest(build(source))

    (source / "debug.log").write_text("noise")

    assert context_digest(build(source)) == before


def test_an_ignored_dockerfile_still_counts(source: Path) -> None:
    (source / ".dockerignore").write_text("Dockerfile\n")
    before = context_digest(build(source))

    change_the_dockerfile(source)

    assert context_digest(build(source)) != before


def test_files_come_in_order_without_what_is_ignored(source: Path) -> None:
    (source / ".dockerignore").write_text("sub\n!sub/b.txt\n")
    (source / "sub" / "c.txt").touch()

    names = [(entry.name, entry.kind) for entry in context_files(build(source))]

    assert names == [(".dockerignore", "file"), ("Dockerfile", "file"), ("app.py", "file"), ("sub/b.txt", "file")]


def test_a_pipe_in_the_source_is_no_part_of_it(source: Path) -> None:
    os.mkfifo(source / "pipe")

    assert "pipe" not in [entry.name for entry in context_files(build(source))]


def test_a_link_to_a_directory_is_not_followed(source: Path) -> None:
    (source / "loop").symlink_to(".")

    assert [entry.name for entry in context_files(build(source)) if entry.name.startswith("loop")] == ["loop"]


def test_a_remote_context_counts_by_its_text() -> None:
    one, other = (Build(context=f"https://example.org/repo.git#{ref}") for ref in ("v1", "v2"))

    assert context_digest(one) == context_digest(one)
    assert context_digest(one) != context_digest(other)


def test_a_missing_dockerfile_names_those_that_are_there(source: Path) -> None:
    (source / "Dockerfile").rename(source / "Dockerfile.prod")

    with pytest.raises(InputError, match=r"there is Dockerfile\.prod: set `build\.dockerfile`"):
        check_sources(build(source))


def test_a_missing_context_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere is not a directory"):
        context_digest(build(tmp_path / "nowhere", dockerfile_inline="FROM alpine"))


def test_an_inline_dockerfile_is_the_dockerfile(source: Path) -> None:
    assert dockerfile_text(build(source, dockerfile_inline="FROM debian\n")) == b"FROM debian\n"
