"""Build contexts: which files an image is built from, and a name for exactly that content."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import msgspec

from havre.engines.dockerignore import IgnoreRules, source_rules
from havre.errors import InputError, Problem
from havre.model.project import Build

NOT_PART_OF_AN_IMAGE = frozenset({"context", "dockerfile", "tags", "no_cache", "pull", "cache_from"})
"""Fields of Build that say how to build, not what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFile:
    """One entry of a build context: `name` is its path in there, with slashes; `kind` `file`, `link` or `directory`."""

    name: str
    path: Path
    kind: str
    executable: bool = False


def context_digest(build: Build) -> str:
    """64 hex digits that change exactly when a build's input does: files, Dockerfile, arguments, target, labels.

    Owners and times of files do not count. A remote context (a URL) counts by its text alone. A source may have no
    Dockerfile: one engine runs it without, and who needs it says that it is missing.
    """
    digest = hashlib.sha256()
    for item in fields(build):
        if item.name not in NOT_PART_OF_AN_IMAGE:
            digest.update(msgspec.json.encode([item.name, msgspec.to_builtins(getattr(build, item.name))]))
    if is_remote(build.context):
        digest.update(f"{build.context}\0{build.dockerfile}".encode())
        return digest.hexdigest()
    if has_dockerfile(build):
        digest.update(dockerfile_text(build))
    for entry in context_files(build):
        digest.update(f"\0{entry.kind}\0{entry.name}\0{entry.executable}\0".encode())
        digest.update(_content_digest(entry))
    return digest.hexdigest()


def check_sources(build: Build) -> None:
    """Raise InputError when a local build has no context directory or no Dockerfile."""
    if is_remote(build.context):
        return
    if not Path(build.context).is_dir():
        raise InputError(_no_context(build))
    dockerfile_text(build)


def context_files(build: Build) -> Iterator[ContextFile]:
    """The files of a local context that its ignore file leaves, in order of their names."""
    root = Path(build.context)
    if not root.is_dir():
        raise InputError(_no_context(build))
    yield from files_below(root, ignore_rules(build))


def files_below(root: Path, rules: IgnoreRules) -> Iterator[ContextFile]:
    """The files, links and directories that some rules leave, in order of their names."""
    yield from _walk(root, "", rules)


def has_dockerfile(build: Build) -> bool:
    """False for a source tree that only an engine without images can run."""
    return build.dockerfile_inline is not None or dockerfile_path(build).is_file()


def ignore_rules(build: Build) -> IgnoreRules:
    """The rules of `<Dockerfile>.dockerignore`, else of `.dockerignore` in the context; of a source its own."""
    if not has_dockerfile(build):
        return source_rules(Path(build.context))
    path = ignore_file(build)
    return IgnoreRules(path.read_text(errors="replace")) if path.is_file() else IgnoreRules()


def ignore_file(build: Build) -> Path:
    """Where a build's ignore rules are, or would be: a file of the Dockerfile's own stands over the context's."""
    own = dockerfile_path(build)
    own = own.with_name(own.name + ".dockerignore")
    return own if own.is_file() else Path(build.context) / ".dockerignore"


def dockerfile_path(build: Build) -> Path:
    """Where the Dockerfile is; it may lie outside the context."""
    return Path(build.context) / build.dockerfile


def dockerfile_text(build: Build) -> bytes:
    """The Dockerfile's content, inline or from its file."""
    if build.dockerfile_inline is not None:
        return build.dockerfile_inline.encode()
    path = dockerfile_path(build)
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(_no_dockerfile(path, error)) from error


def is_remote(context: str) -> bool:
    """True for a context that the builder fetches itself (a git repository, an archive)."""
    return context.startswith(("http://", "https://", "git://", "ssh://", "git@", "github.com/"))


def _walk(directory: Path, prefix: str, rules: IgnoreRules) -> Iterator[ContextFile]:
    with os.scandir(directory) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        name = f"{prefix}{entry.name}"
        ignored = rules.ignores(name)
        if not ignored and (described := _describe(entry, name)):
            yield described
        inside = entry.is_dir(follow_symlinks=False)
        if inside and (not ignored or rules.may_include_below(name)):
            yield from _walk(Path(entry.path), f"{name}/", rules)


def _describe(entry: os.DirEntry[str], name: str) -> ContextFile | None:
    """Sockets, pipes and devices are no part of a context."""
    path = Path(entry.path)
    if entry.is_symlink():
        return ContextFile(name=name, path=path, kind="link")
    if entry.is_dir():
        return ContextFile(name=name, path=path, kind="directory")
    try:
        mode = entry.stat().st_mode
    except FileNotFoundError:  # gone since the directory was read, as programs that run beside us do with their files
        return None
    if not stat.S_ISREG(mode):
        return None
    return ContextFile(name=name, path=path, kind="file", executable=bool(mode & 0o111))


def _content_digest(entry: ContextFile) -> bytes:
    if entry.kind == "link":
        return str(entry.path.readlink()).encode()
    if entry.kind == "directory":
        return b""
    try:
        with entry.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise InputError(_unreadable(entry, error)) from error


def _no_context(build: Build) -> Problem:
    return Problem(
        summary=f"the build context {build.context} is not a directory",
        hint="correct `build.context`; it is relative to the Compose file",
        code="build-context",
    )


def _no_dockerfile(path: Path, error: OSError) -> Problem:
    nearby = sorted(found.name for found in path.parent.glob("*ockerfile*")) if path.parent.is_dir() else []
    hint = "write one, or correct `build.dockerfile`"
    if nearby:
        hint = f"there is {', '.join(nearby)}: set `build.dockerfile`"
    return Problem(
        summary=f"the Dockerfile {path} cannot be read: {error.strerror}",
        hint=hint,
        code="build-dockerfile",
    )


def _unreadable(entry: ContextFile, error: OSError) -> Problem:
    return Problem(
        summary=f"{entry.path} in the build context cannot be read: {error.strerror}",
        hint="make it readable, or list it in .dockerignore",
        code="build-context",
    )
