"""The source of a service: which files belong to it, what they amount to, and an immutable copy of them."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ALWAYS_LEFT_OUT = (".git", "**/.git", "**/__pycache__", "**/node_modules", "**/.venv", "**/venv", ".havre")
"""Never part of a release: history, caches, and dependencies that are prepared anew."""


def files_of(source: Path, out: Iterable[str] = ()) -> tuple[str, ...]:
    """The relative paths of all files below `source` that belong to it, sorted.

    Left out is what `.dockerignore` names, or `.gitignore` where there is none, and what `out` adds.
    """
    rules = [*ALWAYS_LEFT_OUT, *_rules(source), *out]
    return tuple(sorted(_walk(source, "", rules)))


def digest_of(source: Path, files: Iterable[str]) -> str:
    """Changes exactly when a file's path, content or executable bit does."""
    digest = hashlib.sha256()
    for name in files:
        path = source / name
        digest.update(name.encode() + b"\0")
        if path.is_symlink():
            digest.update(b"l" + os.fsencode(path.readlink()))
        else:
            digest.update(b"x" if os.access(path, os.X_OK) else b"f")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def copy_files(source: Path, files: Iterable[str], target: Path) -> None:
    """Copy them; later changes to the source do not reach the copy."""
    for name in files:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, place, follow_symlinks=False)


def is_left_out(path: str, rules: Iterable[str]) -> bool:
    """Whether the last rule that matches `path`, or a directory above it, leaves it out (`!` takes it back in)."""
    left_out = False
    for rule in rules:
        wanted = rule.startswith("!")
        if left_out == wanted and _pattern(rule.removeprefix("!")).fullmatch(path):
            left_out = not wanted
    return left_out


def _walk(source: Path, below: str, rules: list[str]) -> Iterator[str]:
    exceptions = any(rule.startswith("!") for rule in rules)
    with os.scandir(source / below) as entries:
        for entry in entries:
            path = f"{below}{entry.name}"
            out = is_left_out(path, rules)
            if entry.is_dir(follow_symlinks=False):
                if not out or exceptions:
                    yield from _walk(source, f"{path}/", rules)
            elif not out and (entry.is_file(follow_symlinks=False) or entry.is_symlink()):
                yield path


def _rules(source: Path) -> Iterator[str]:
    for name, from_git in ((".dockerignore", False), (".gitignore", True)):
        path = source / name
        if not path.is_file():
            continue
        for line in path.read_text(errors="replace").splitlines():
            rule = line.strip()
            if rule and not rule.startswith("#"):
                yield _anchored(rule) if from_git else rule
        return


def _anchored(rule: str) -> str:
    """A rule of git as one of Docker: without a slash inside it holds in every directory."""
    mark, body = ("!", rule[1:]) if rule.startswith("!") else ("", rule)
    inside = body.rstrip("/")
    return mark + (inside if "/" in inside else f"**/{inside}")


@cache
def _pattern(rule: str) -> re.Pattern[str]:
    """Matches the path itself and everything below it."""
    text = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]*\])", rule.strip("/").removeprefix("./")):
        match part:
            case "**/":
                text += "(?:.*/)?"
            case "**":
                text += ".*"
            case "*":
                text += "[^/]*"
            case "?":
                text += "[^/]"
            case _:
                text += fnmatch.translate(part)[4:-3] if part.startswith("[") else re.escape(part)
    return re.compile(f"{text}(?:/.*)?", re.DOTALL)
