"""Reads what a Dockerfile copies and installs: enough to see what is missing before a build starts."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from havre.model.trials import Foundation


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction; `line` counts from 1, `words` is the rest as one text."""

    line: int
    name: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage: its name in small letters (empty without), what it starts from, and its other instructions."""

    name: str
    base: str
    steps: tuple[Instruction, ...] = ()


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


def stages(text: str, args: Iterable[tuple[str, str | None]] = ()) -> tuple[Stage, ...]:
    """The stages of a Dockerfile; an `ARG` from before the first that stands in a base is filled in."""
    values, found = dict[str, str](), list[tuple[str, str, list[Instruction]]]()
    for one in instructions(text):
        if one.name == "FROM":
            words = [word for word in one.words.split() if not word.startswith("--")]
            name = words[2].lower() if len(words) == 3 and words[1].upper() == "AS" else ""
            found.append((name, _filled(words[0], values) if words else "", []))
        elif found:
            found[-1][2].append(one)
        elif one.name == "ARG":
            name, _, value = one.words.partition("=")
            given = {key: text for key, text in args if text is not None}
            values[name.strip()] = given.get(name.strip(), value.strip().strip("\"'"))
    return tuple(Stage(name=name, base=base, steps=tuple(steps)) for name, base, steps in found)


def built_upon(found: Sequence[Stage], target: str | None = None) -> tuple[Stage, ...]:
    """The last stage (or the one called `target`) behind the stages that it stands on, the lowest first."""
    named = [index for index, stage in enumerate(found) if target and stage.name == target.lower()]
    wanted = named[-1] if named else len(found) - 1
    chain: list[Stage] = []
    while wanted >= 0:
        stage = found[wanted]
        chain.insert(0, stage)
        wanted = next((index for index in range(wanted) if found[index].name == stage.base.lower() != ""), -1)
    return tuple(chain)


def foundation(
    text: str, *, context: str = "", args: Iterable[tuple[str, str | None]] = (), target: str | None = None
) -> Foundation | None:
    """What the image stands on and what is put into it; None where only the build knows its base."""
    chain = built_upon(stages(text, args), target)
    if not chain or not chain[0].base or "$" in chain[0].base:
        return None
    directory, files, entry, command = "/", list[tuple[str, str]](), list[str](), list[str]()
    for one in (step for stage in chain for step in stage.steps):
        if one.name == "WORKDIR":
            directory = posixpath.join(directory, one.words)
        elif one.name in ("COPY", "ADD"):
            files += _put(one.words, directory, context)
        elif one.name == "ENTRYPOINT":
            entry, command = _listed(one.words), []
        elif one.name == "CMD":
            command = _listed(one.words)
    whole = (*entry, *command)
    return Foundation(base=chain[0].base, copied=tuple(files), command=whole, entrypoint=tuple(entry))


def _put(words: str, directory: str, context: str) -> Iterator[tuple[str, str]]:
    """(path in the image, path on this server) of what one COPY takes."""
    *sources, target = _words_of(words) or [""]
    place = posixpath.normpath(posixpath.join(directory, target))
    for source in sources:
        here = "" if "--from=" in words else posixpath.normpath(posixpath.join(context, source.lstrip("/")))
        is_into = target.endswith("/") or len(sources) > 1 or target in (".", "")
        yield (posixpath.join(place, posixpath.basename(source)) if is_into and _is_file(source) else place), here


def _is_file(source: str) -> bool:
    """By its name: only a build knows; a directory's content goes to the target itself."""
    return bool(posixpath.splitext(source.rstrip("/"))[1]) and not source.endswith((".d", "/"))


def base_images(found: Sequence[Stage]) -> tuple[str, ...]:
    """The images that stages start from, each once; those that only the build knows, and `scratch`, are left out."""
    names = {stage.name for stage in found if stage.name}
    bases = dict.fromkeys(stage.base for stage in found if stage.base.lower() not in names)
    return tuple(base for base in bases if base and "$" not in base and base != "scratch")


def _filled(word: str, values: Mapping[str, str]) -> str:
    pattern = r"\$\{?(\w+)(?::-([^}]*))?\}?"
    return re.sub(pattern, lambda match: values.get(match[1]) or match[2] or match[0], word)


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
    return _words_of(words)[:-1]


def _words_of(words: str) -> list[str]:
    """The paths of a COPY, the target last; without its options."""
    return _listed(re.sub(r"^(?:--\S+\s+)+", "", words))


def _listed(words: str) -> list[str]:
    """The words of an instruction in either of its two forms; nothing where they cannot be read."""
    try:
        found = json.loads(words) if words.startswith("[") else shlex.split(words)
    except ValueError:
        return []
    return [str(word) for word in found] if isinstance(found, list) else []
