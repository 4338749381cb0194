"""Files on this server that containers are given: they must be there before anything starts (F31)."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from havre.engines.base import Context
from havre.engines.docker.mounts import bind_sources
from havre.errors import InputError, Problem
from havre.model.project import Service

_LOOKED_AT = 5000
"""How many files near the missing one are considered when looking for a similar name."""


def refuse_missing_sources(service: Service, context: Context) -> None:
    """Raise InputError naming every mounted file that does not exist: the engine would make a directory of it."""
    missing = [
        _missing(service.name, context.instance, Path(source), target)
        for source, target, may_make in bind_sources(service, context)
        if not Path(source).exists() and (not may_make or _looks_like_file(source, target))
    ]
    if missing:
        raise InputError(missing)


def seccomp_profiles(service: Service) -> dict[str, str]:
    """The contents of the seccomp profiles that the service names by file."""
    found = {}
    for entry in service.security_opt:
        name, _, value = entry.replace(":", "=", 1).partition("=")
        if name == "seccomp" and value not in {"unconfined", "builtin"}:
            found[value] = _profile(service.name, Path(value))
    return found


def similar_file(missing: Path) -> Path | None:
    """A file near the missing one that may be the one that was meant."""
    directory = missing.parent
    while not directory.is_dir() and directory != directory.parent:
        directory = directory.parent
    if len(directory.parts) < 3:
        return None  # the whole disk is not near
    near = list(islice(_files_below(directory), _LOOKED_AT))
    same_name = [path for path in near if path.name == missing.name]
    if same_name:
        return min(same_name, key=lambda path: len(path.parts))
    by_name = {path.name: path for path in near}
    close = get_close_matches(missing.name, by_name, n=1, cutoff=0.75)
    return by_name[close[0]] if close else None


def _looks_like_file(source: str, target: str) -> bool:
    """A name with a suffix, at either end, is a file; `conf.d` and dot directories are not."""
    return any(Path(name).suffix not in {"", ".d"} for name in (source, target)) and not source.endswith("/")


def _files_below(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_file() and "node_modules" not in path.parts)


def _missing(service: str, instance: str, source: Path, target: str) -> Problem:
    similar = similar_file(source)
    hint = f"did you mean {similar}?" if similar else "create it, or correct the path in the Compose file"
    return Problem(
        summary=f"{source} does not exist; it is mounted at {target}",
        subject=f"{instance}/{service}",
        effect="Docker would silently make an empty directory in its place; nothing was started",
        hint=hint,
        code="mount-missing",
    )


def _profile(service: str, path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise InputError(
            Problem(
                summary=f"the seccomp profile {path} cannot be read: {error.strerror}",
                subject=service,
                hint="correct the path in `security_opt`; it is relative to the Compose file",
                code="mount-missing",
            )
        ) from error
