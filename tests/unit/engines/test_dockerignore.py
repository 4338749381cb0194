"""`.dockerignore` by Docker's own rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.engines.dockerignore import IgnoreRules

CASES = [
    # rules, left out, kept
    ("", [], ["a", "a/b"]),
    ("*.log", ["debug.log"], ["sub/debug.log", "debug.txt"]),
    ("**/*.log", ["debug.log", "a/b/debug.log"], ["debug.txt"]),
    ("*/temp*", ["a/temp", "a/temporary.txt"], ["temp", "a/b/temp"]),
    ("temp?", ["tempa", "temp1"], ["temp", "tempab"]),
    ("node_modules", ["node_modules", "node_modules/x/y.js"], ["sub/node_modules/x"]),
    ("/node_modules/", ["node_modules", "node_modules/x"], ["sub/node_modules"]),
    ("**/node_modules", ["node_modules", "sub/node_modules/x"], ["node_modules2"]),
    ("docs/**", ["docs/a", "docs/a/b"], ["docs2/a"]),
    ("*.md\n!README.md", ["a.md"], ["README.md"]),
    ("*.md\n!README*.md\nREADME-secret.md", ["a.md", "README-secret.md"], ["README.md", "README-x.md"]),
    ("*\n!src", ["a", "b/c"], ["src", "src/deep/file.py"]),
    ("src\n!src/keep", ["src", "src/a"], ["src/keep", "src/keep/a"]),
    ("# a comment\n\n  spaced.txt  ", ["spaced.txt"], ["# a comment", "a comment"]),
    ("a/../b.txt", ["b.txt"], ["a"]),
    (".", [], ["a"]),
    ("[ab].txt", ["a.txt", "b.txt"], ["c.txt"]),
    ("[!ab].txt", ["c.txt"], ["a.txt"]),
    (r"\#real", ["#real"], ["real"]),
    ("a.b", ["a.b"], ["axb"]),
    ("\ufeffbom.txt", ["bom.txt"], []),
    (".env*", [".env", ".env.prod"], ["env"]),
]


@pytest.mark.parametrize(("rules", "left_out", "kept"), CASES)
def test_rules_decide_as_docker_does(rules: str, left_out: list[str], kept: list[str]) -> None:
    ignore = IgnoreRules(rules)

    assert [path for path in left_out if not ignore.ignores(path)] == []
    assert [path for path in kept if ignore.ignores(path)] == []


@pytest.mark.parametrize(
    ("rules", "directory", "expected"),
    [
        ("src\n!src/keep", "src", True),
        ("src\n!other", "src", False),
        ("*\n!**/*.py", "deep", True),
        ("node_modules", "node_modules", False),
        ("a\n!a/b/c.txt", "a/b", True),
        ("a\n!a/b*/c.txt", "a", True),
    ],
)
def test_a_directory_is_entered_only_where_something_may_come_back(rules: str, directory: str, expected: bool) -> None:
    assert IgnoreRules(rules).may_include_below(directory) is expected


NAMES = st.text("ab.", min_size=1, max_size=3).filter(lambda name: set(name) != {"."})
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@given(PATHS, st.lists(PATHS, max_size=4))
def test_what_is_below_an_ignored_directory_is_ignored_too(path: str, rules: list[str]) -> None:
    ignore = IgnoreRules("\n".join(rules))

    if ignore.ignores(path):
        assert ignore.ignores(f"{path}/below")


@given(PATHS, st.lists(PATHS, max_size=4), st.lists(PATHS, max_size=4))
def test_pruning_never_loses_a_file_that_a_later_rule_brings_back(
    path: str, rules: list[str], exceptions: list[str]
) -> None:
    ignore = IgnoreRules("\n".join([*rules, *(f"!{exception}" for exception in exceptions)]))
    parts = path.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts))]

    if not ignore.ignores(path):
        assert all(not ignore.ignores(directory) or ignore.may_include_below(directory) for directory in above)
