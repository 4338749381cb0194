"""Which files of a build context count: by `.dockerignore` and Docker's own rules, or by what a source leaves out."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LEFT_OUT_OF_SOURCE = (
    ".git", "**/.git", "**/__pycache__", "**/node_modules", "**/.venv", "**/venv", ".havre", "havre.yaml", "havre.yml",
)  # fmt: skip
"""Never part of a release from source: history, caches, dependencies that are prepared anew, and how it is deployed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    text: str
    pattern: re.Pattern[str]
    includes: bool


class IgnoreRules:
    """The rules of one file. The last rule that matches a path, or a directory above it, decides."""

    def __init__(self, text: str = "") -> None:
        parsed = (_parse(line) for line in text.removeprefix("\ufeff").splitlines())
        self._rules = tuple(rule for rule in parsed if rule is not None)

    def ignores(self, path: str) -> bool:
        """True when `path` (relative, with slashes) is left out of the context."""
        parts = path.split("/")
        candidates = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
        ignored = False
        for rule in self._rules:
            if ignored == rule.includes and any(rule.pattern.fullmatch(candidate) for candidate in candidates):
                ignored = not rule.includes
        return ignored

    def may_include_below(self, directory: str) -> bool:
        """True when a `!` rule could bring back something inside an ignored directory."""
        return any(rule.includes and _could_reach(rule.text, directory) for rule in self._rules)


def source_rules(source: Path) -> IgnoreRules:
    """What a tree that runs without a Dockerfile leaves out; `.gitignore` counts where it has no `.dockerignore`."""
    own = source / ".dockerignore"
    written = (
        own.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        if own.is_file()
        else _rules_of_git(source / ".gitignore")
    )
    return IgnoreRules("\n".join([*LEFT_OUT_OF_SOURCE, *written]))


def _rules_of_git(path: Path) -> Iterator[str]:
    """Git's rules as Docker's: one without a slash inside holds in every directory."""
    for line in path.read_text(errors="replace").splitlines() if path.is_file() else ():
        rule = line.strip()
        if rule and not rule.startswith("#"):
            mark, body = ("!", rule[1:]) if rule.startswith("!") else ("", rule)
            inside = body.rstrip("/")
            yield mark + (inside if "/" in inside else f"**/{inside}")


def _parse(line: str) -> _Rule | None:
    if line.startswith("#"):
        return None
    text = line.strip()
    includes = text.startswith("!")
    text = text.removeprefix("!").strip()
    if not text:
        return None
    clean = posixpath.normpath(text.lstrip("/") or ".")
    if clean == ".":
        return None
    return _Rule(text=clean, pattern=re.compile(_expression(clean), re.DOTALL), includes=includes)


def _expression(pattern: str) -> str:
    """`**` crosses directories, `*` and `?` do not, `[…]` is a class, a backslash takes the next sign literally."""
    found, at = "", 0
    while at < len(pattern):
        rest = pattern[at:]
        if rest.startswith("**/"):
            found, at = found + "(?:.*/)?", at + 3
        elif rest.startswith("**"):
            found, at = found + ".*", at + 2
        elif rest[0] in "*?":
            found, at = found + ("[^/]*" if rest[0] == "*" else "[^/]"), at + 1
        elif rest[0] == "[" and (end := rest.find("]", 2)) > 0:
            found, at = found + rest[: end + 1].replace("[!", "[^", 1), at + end + 1
        elif rest[0] == "\\" and len(rest) > 1:
            found, at = found + re.escape(rest[1]), at + 2
        else:
            found, at = found + re.escape(rest[0]), at + 1
    return found


def _could_reach(rule: str, directory: str) -> bool:
    literal = re.split(r"[*?\[\\]", rule, maxsplit=1)[0]
    if literal != rule and (f"{directory}/").startswith(literal):
        return True  # a wildcard begins here or above
    return rule == directory or rule.startswith(f"{directory}/")
