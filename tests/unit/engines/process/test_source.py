"""What belongs to a source tree, and when it counts as changed."""

from __future__ import annotations

from pathlib import Path

from havre.engines.process.source import copy_files, digest_of, files_of


def _tree(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def test_history_caches_and_prepared_dependencies_are_left_out(tmp_path: Path) -> None:
    _tree(
        tmp_path,
        "app.py",
        ".git/HEAD",
        "pkg/__pycache__/x.pyc",
        "node_modules/a/i.js",
        "ui/node_modules/b.js",
        ".venv/x",
    )
    assert files_of(tmp_path) == ("app.py",)


def test_dockerignore_is_honoured_with_its_exceptions(tmp_path: Path) -> None:
    _tree(tmp_path, "app.py", "docs/a.md", "docs/keep.md", "secret.env", "deep/secret.env", "notes.txt")
    (tmp_path / ".dockerignore").write_text("# comment\ndocs\n!docs/keep.md\n**/*.env\n*.txt\n.dockerignore\n")
    assert files_of(tmp_path) == ("app.py", "docs/keep.md")


def test_gitignore_counts_where_there_is_no_dockerignore(tmp_path: Path) -> None:
    _tree(tmp_path, "app.py", "build/out.js", "pkg/build/out.js", "a.log", "deep/b.log", "root.txt", "deep/root.txt")
    (tmp_path / ".gitignore").write_text("build/\n*.log\n/root.txt\n.gitignore\n")
    assert files_of(tmp_path) == ("app.py", "deep/root.txt")


def test_digest_follows_content_path_and_executable_bit(tmp_path: Path) -> None:
    _tree(tmp_path, "a.sh")
    digests = [digest_of(tmp_path, files_of(tmp_path))]
    (tmp_path / "a.sh").chmod(0o755)
    digests.append(digest_of(tmp_path, files_of(tmp_path)))
    (tmp_path / "a.sh").write_text("other")
    digests.append(digest_of(tmp_path, files_of(tmp_path)))
    (tmp_path / "a.sh").rename(tmp_path / "b.sh")
    digests.append(digest_of(tmp_path, files_of(tmp_path)))
    assert len(set(digests)) == 4
    assert digest_of(tmp_path, files_of(tmp_path)) == digests[-1]


def test_a_copy_is_not_reached_by_later_changes(tmp_path: Path) -> None:
    source = _tree(tmp_path / "source", "deep/a.py")
    (source / "link").symlink_to("deep/a.py")
    copy_files(source, files_of(source), tmp_path / "copy")
    (source / "deep" / "a.py").write_text("changed")
    assert (tmp_path / "copy" / "deep" / "a.py").read_text() == "deep/a.py"
    assert (tmp_path / "copy" / "link").is_symlink()
