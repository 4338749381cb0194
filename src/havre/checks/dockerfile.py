"""Reads what a Dockerfile copies and installs: enough to see what is missing before a build starts."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction; `line` counts from 1, `words` is the rest as one text."""

    line: int
    name: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A path of the build context that COPY or ADD takes; it may be a pattern."""

    line: int
    source: str


def instructions(text: str) -> Iterator[Instruction]:
    """All instructions, continuation lines joined, comments and here-documents left out."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        start, joined = number, ""
        while number < len(lines):
            line = lines[number]
            start = number if not joined else start
            number += 1
            if line.lstrip().startswith("#") or (joined and not line.strip()):
                continue
            joined += line.rstrip().removesuffix("\\")
            if not line.rstrip().endswith("\\"):
                break
        name, _, words = joined.strip().partition(" ")
        if name:
            yield Instruction(line=start + 1, name=name.upper(), words=words.strip())
        for end in re.findall(r"<<-?[\"']?(\w+)[\"']?", joined):
            while number < len(lines) and lines[number].strip() != end:
                number += 1
            number += 1


def copied(text: str) -> Iterator[Copied]:
    """What is taken from the build context: not from other stages, URLs, git or here-documents.

    Paths that hold a variable are left out: only the build knows them.
    """
    for one in instructions(text):
        if one.name not in ("COPY", "ADD") or "--from=" in one.words or "<<" in one.words:
            continue
        for source in _sources(one.words):
            if "$" not in source and not re.match(r"[a-z+]+://|git@", source):
                yield Copied(line=one.line, source=source)


def _sources(words: str) -> list[str]:
    rest = re.sub(r"^(?:--\S+\s+)+", "", words)
    if rest.startswith("["):
        try:
            found = json.loads(rest)
        except ValueError:
            return []
        return [str(word) for word in found[:-1]] if isinstance(found, list) else []
    try:
        return shlex.split(rest)[:-1]
    except ValueError:
        return []
