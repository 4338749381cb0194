"""Why a build failed, from the last words of the step that failed (F40)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from havre.errors import FailedError, Problem

SHOWN = 20
"""How many of the failing step's last lines are shown."""

_UNREACHED = (
    r"Could not resolve (?:host|proxy)?:? ?'?(?P<host>[\w.-]+\.[a-z]+)",
    r"getaddrinfo (?:ENOTFOUND|EAI_AGAIN) (?P<host>[\w.-]+)",
    r"HTTPSConnectionPool\(host='(?P<host>[^']+)'",
    r"Temporary failure resolving '(?P<host>[^']+)'",
    r"(?:Failed to connect to|unable to access 'https?://)(?P<host>[\w.-]+)",
    r"lookup (?P<host>[\w.-]+)(?: on \S+)?: (?:no such host|server misbehaving)",
    r"fetch(?:ing)? https?://(?P<host>[\w.-]+)\S*: (?:temporary error|network error|DNS)",
)

_NO_NETWORK = (
    r"Failed to establish a new connection|Temporary failure in name resolution|Name or service not known|"
    r"[Nn]etwork is unreachable|Connection timed out"
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

_CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        r"no space left on device",
        "the disk is full",
        "`docker system df` shows what takes the room; `docker builder prune` empties the build cache",
    ),
    (
        r"COPY failed: .*|failed to compute cache key: .*not found|ADD failed: .*",
        "a file that the Dockerfile copies is not in the build context",
        "check its path (relative to `build.context`) and that .dockerignore does not leave it out",
    ),
    (
        r"only install packages when|frozen[- ]lockfile|\block(?:file)?\b.*(?:in sync|up to date|changed signif)",
        "the lock file does not match the manifest",
        "run the package manager's install once, and commit the lock file it writes",
    ),
    (
        r"(?:executable file not found|command not found|: not found)",
        "a program that the step runs is not in the image at that point",
        "install it in an earlier step, or move it from the development to the normal dependencies",
    ),
    (
        r"option requires BuildKit|unknown flag: (?:mount|link|parents)|unknown instruction: \"?EOF",
        "this Dockerfile needs BuildKit, and only the classic builder is here",
        "install the docker-buildx plugin on this server",
    ),
    (
        r"(?:Killed|signal: killed|exit code: 137|non-zero code: 137)",
        "the step was killed, most likely for want of memory",
        "build with fewer parallel jobs, or on a server with more memory",
    ),
)


def build_failed(service: str, step: str, lines: Sequence[str], message: str, seconds: float) -> FailedError:
    """The error for a failed build: the step, its last lines, the cause where it is recognised, and what to do."""
    text = "\n".join([*lines, message])
    cause, hint = _cause(text)
    shown = [line for line in lines if line.strip()][-SHOWN:]
    return FailedError(
        Problem(
            summary=f"the image of {service} could not be built: {cause}",
            subject=service,
            evidence=tuple([step, *shown, message] if step else [*shown, message]),
            effect=f"after {seconds:.0f} s; the old release keeps running",
            hint=hint,
            code="build-failed",
        )
    )


def plain(line: str) -> str:
    """A line without the colours that programs write even where nobody sees them."""
    return _COLOURS.sub("", line).rstrip()


def _cause(text: str) -> tuple[str, str]:
    if host := _unreached(text):
        return f"{host} could not be reached", f"check this server's network and DNS for {host}, or use a mirror"
    for pattern, cause, hint in _CAUSES:
        if re.search(pattern, text, re.IGNORECASE):
            return cause, hint
    return "a step failed", "the lines above are its own words; correct the Dockerfile or what it runs"


def _unreached(text: str) -> str | None:
    """The host that a step could not reach: named in the complaint, or else the one whose address is in the lines."""
    for pattern in _UNREACHED:
        if found := re.search(pattern, text):
            return found["host"]
    if not re.search(_NO_NETWORK, text):
        return None
    address = re.search(r"https?://(?P<host>[\w.-]+)", text)
    return address["host"] if address else "a host on the network"
