"""Checks of configuration files of well-known images, by the images' own programs (F32)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from havre.checks.case import Case, Check
from havre.errors import Problem, Severity
from havre.model.server import RefusedFile

_PLACES = tuple(
    re.compile(pattern)
    for pattern in (
        r"file (?P<file>/[^\s:]+): (?:[^\n]*\n?){0,2}?[^\n]*?\bline (?P<line>\d+)",
        r"\bin (?P<file>/[^\s:]+):(?P<line>\d+)",
        r"\[(?P<file>/[^\]:]+):(?P<line>\d+)\]",
        r"file \"(?P<file>/[^\"]+)\",? line (?P<line>\d+)",
        r"line (?P<line>\d+) of (?:configuration )?file \"(?P<file>/[^\"]+)\"",
        r"(?P<file>/[\w./@+-]+): ?(?P<line>\d+)\b",
        r"\b[Ll]ine (?P<line>\d+)",
    )
)
"""How programs name a place, the exact ones first; a line alone is one of the file that was asked about."""

_NOISE = re.compile(
    r"^\s*$|skipping missing configuration file|test failed$|^Checking '?/\S+'?$|SUCCESS|is experimental|^\[NOTICE\]"
    r"|rror\(?s?\)? found in configuration|failed to validate|LOG:  (?:starting|listening|database system)"
    r"|examine the log|could not start server"
)
"""What programs say besides what is wrong."""

_STAMP = re.compile(r"^(?:\d{4}[-/]\d\d[-/]\d\d[ T][\d:.]+(?: \w+)?\s*)?(?:\[\d+\]\s*|\d+#\d+:\s*)?")
SAID = 4
"""Lines of a program's answer that are shown."""


def place_named(output: str, file: str) -> tuple[str, int] | None:
    """(file in the container, line) that a program complains about; `file` where it names only a line."""
    for pattern in _PLACES:
        found = pattern.search(output)
        if found:
            return found.groupdict().get("file") or file, int(found["line"])
    return None


def complaint(output: str) -> tuple[str, ...]:
    """The lines of a program's answer that say what is wrong, without times and what it always says."""
    lines = [_STAMP.sub("", line.rstrip(), count=1) for line in output.splitlines() if not _NOISE.search(line)]
    return tuple(dict.fromkeys(lines))[:SAID]


def _refused(case: Case) -> Iterator[Problem]:
    return (refusal(file, case.project.service_names) for file in case.refused)


def refusal(file: RefusedFile, names: tuple[str, ...]) -> Problem:
    """What to tell about a refused file; `names` are the services that it could have meant."""
    quoted = (f"{file.at.line} | {file.line}",) if file.at and file.line else ()
    return Problem(
        summary=f"{file.tool} refuses its configuration"
        + (f": nothing in this app is called {file.unknown_host}" if file.unknown_host else ""),
        subject=file.service,
        at=file.at,
        evidence=(*quoted, *file.said),
        effect="a replica with it would not start" if file.is_certain else "a replica with it may not start",
        hint=_hint(file, names),
        code="config-invalid",
        severity=Severity.ERROR if file.is_certain else Severity.WARNING,
    )


def _hint(file: RefusedFile, names: tuple[str, ...]) -> str:
    close = get_close_matches(file.unknown_host, names, n=1) if file.unknown_host else []
    if close:
        return f"did you mean {close[0]}?"
    if file.unknown_host:
        return f"the services are {', '.join(names)}; a name outside of the app needs a dot or `extra_hosts`"
    if not file.is_certain:
        return "if what it misses comes only when the app runs, waive `config-invalid` with that reason"
    return "correct that line; `havre check` asks the image's own program again"


CHECKS = (
    Check(
        id="config-invalid",
        severity=Severity.ERROR,
        title="configuration files are accepted by the image's own program",
        doc=(
            "nginx, OpenResty, Prometheus, Alertmanager, blackbox exporter, Loki, HAProxy, Caddy, httpd, Redis, Valkey "
            "and PostgreSQL (settings and `pg_hba`) are asked in a throw-away container of the very image, with the "
            "same mounts read-only and no network; names of the app's services resolve there. That goes for files that "
            "are mounted, and for those that a Dockerfile copies into an image `FROM` one of these. An image that is "
            "not on the server yet is asked in the release, before anything starts. Only the Docker engine can ask."
        ),
        find=_refused,
    ),
)
