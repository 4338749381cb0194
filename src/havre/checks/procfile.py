"""Where a process of a Procfile says what a Procfile has no words for: hints with a Compose key name the place too."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from havre.checks.case import Case
from havre.errors import Problem

NAME = "Procfile"
_KEY = re.compile(r"`(?:mem_limit|cpus|pids_limit|healthcheck|logging|restart|networks|volumes|ports|deploy)\b[^`]*`")
_IN_THE_FILE = " in the Compose file"


def processes_of(case: Case) -> frozenset[str]:
    """The services of a case that are written in a Procfile."""
    places = ((service.name, case.place(f"services.{service.name}")) for service in case.project.services)
    return frozenset(name for name, at in places if at and posixpath.basename(at.file) == NAME)


def with_place(problem: Problem, processes: Collection[str], compose: Sequence[str]) -> Problem:
    """The problem, whose hint says where the key goes when it is about one of these processes.

    `compose` are the files that the manifest names.
    """
    service = problem.subject.partition(".")[0]
    if service not in processes or not _KEY.search(problem.hint):
        return problem
    hint = _KEY.sub(lambda key: f"{key[0]} ({_place(compose)})", problem.hint.replace(_IN_THE_FILE, ""), count=1)
    return replace(problem, hint=hint)


def _place(compose: Sequence[str]) -> str:
    beside = next((file for file in compose if posixpath.basename(file) != NAME), "")
    if beside:
        return f"under its name in {beside}"
    return "under its name in a compose.yaml beside the Procfile, which `compose: [Procfile, compose.yaml]` adds"
