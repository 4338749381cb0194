"""Checks of files that must exist: bind sources, secret and config files (F31)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from havre.checks.case import Case, Check
from havre.errors import Problem, Severity
from havre.model.project import FileSource, Mount, MountKind, Project


def paths_of(project: Project) -> tuple[str, ...]:
    """The paths whose state a project depends on; the shell looks at them and reports PathFacts."""
    binds = {mount.source for _, _, mount in _binds(project)}
    files = {source.file for source in (*project.secrets, *project.configs) if source.file}
    return tuple(sorted(path for path in binds | files if path))


def _binds(project: Project) -> Iterator[tuple[str, int, Mount]]:
    for service in project.services:
        for index, mount in enumerate(service.mounts):
            if mount.kind is MountKind.BIND and mount.source:
                yield service.name, index, mount


def _missing(case: Case) -> Iterator[Problem]:
    for service, index, mount in _binds(case.project):
        fact = case.files.at(mount.source or "")
        if fact is None or fact.kind != "missing":
            continue
        is_created = mount.create_host_path and not mount.read_only and not _is_file_name(mount.target)
        yield Problem(
            summary=f"{_shown(fact.path, case)} does not exist; it is mounted at {mount.target}",
            subject=service,
            at=case.place(f"services.{service}.volumes[{index}]"),
            evidence=(f"resolved to {fact.path}", *(f"similar: {_shown(path, case)}" for path in fact.similar)),
            effect=(
                "an empty directory would be created in its place"
                if mount.create_host_path
                else "the replica could not start"
            ),
            hint=_hint(fact.similar, case),
            severity=Severity.WARNING if is_created else Severity.ERROR,
        )
    yield from _missing_sources(case)


def _missing_sources(case: Case) -> Iterator[Problem]:
    kinds: tuple[tuple[str, tuple[FileSource, ...]], ...] = (
        ("secrets", case.project.secrets),
        ("configs", case.project.configs),
    )
    for kind, sources in kinds:
        for source in sources:
            fact = case.files.at(source.file) if source.file else None
            if fact and fact.kind != "file":
                what = "does not exist" if fact.kind == "missing" else f"is a {fact.kind}, not a file"
                yield Problem(
                    summary=f"{_shown(fact.path, case)} {what}; it is the file of {kind[:-1]} {source.key}",
                    subject=source.key,
                    at=case.place(f"{kind}.{source.key}.file"),
                    evidence=tuple(f"similar: {_shown(path, case)}" for path in fact.similar),
                    hint=_hint(fact.similar, case),
                )


def _directories(case: Case) -> Iterator[Problem]:
    for service, index, mount in _binds(case.project):
        fact = case.files.at(mount.source or "")
        if fact and fact.kind == "directory" and _is_file_name(mount.target) and _is_file_name(fact.path):
            yield Problem(
                summary=f"{_shown(fact.path, case)} is a directory, mounted where a file belongs: {mount.target}",
                subject=service,
                at=case.place(f"services.{service}.volumes[{index}]"),
                effect="the service finds a directory instead of its file",
                hint="an earlier `docker compose up` may have made it: remove the empty directory and write the file",
            )


def _is_file_name(path: str) -> bool:
    """`/etc/nginx/nginx.conf` is meant as a file; `/etc/nginx/conf.d` and `/data` are not."""
    ending = posixpath.splitext(path)[1].lower()
    return bool(ending) and ending != ".d"


def _shown(path: str, case: Case) -> str:
    inside = path.removeprefix(case.app.directory.rstrip("/") + "/")
    return f"./{inside}" if inside != path else path


def _hint(similar: tuple[str, ...], case: Case) -> str:
    return f"did you mean {_shown(similar[0], case)}?" if similar else "create it, or correct the path"


CHECKS = (
    Check(
        id="bind-missing",
        severity=Severity.ERROR,
        title="files and directories that are mounted exist",
        doc=(
            "Docker creates a missing bind source as an empty directory, and the service then finds a directory where "
            "its configuration should be. A directory that a service writes is only warned about."
        ),
        find=_missing,
    ),
    Check(
        id="bind-directory",
        severity=Severity.ERROR,
        title="no directory is mounted where a file belongs",
        doc="The usual remains of a mount whose source did not exist.",
        find=_directories,
    ),
)
