"""Ask a replica how it is, now, and look at the evidence instead of the exit code alone (D14)."""

from __future__ import annotations

import re
import shlex
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from havre.engines.base import Executed
from havre.model.health import HealthState, ProbeResult
from havre.model.project import Service

NOT_YET = HealthState.UNHEALTHY
CANNOT_FAIL = HealthState.UNVERIFIED

CONTRADICTIONS: tuple[tuple[str, HealthState, str], ...] = (
    (r"\bNOAUTH\b|\bWRONGPASS\b|Authentication required", CANNOT_FAIL, "it was not let in: it needs the password"),
    (r"(?:^|: )(?:command )?not found$|executable file not found", CANNOT_FAIL, "the probe's own program is missing"),
    (r"^\(error\) |^-?ERR ", CANNOT_FAIL, "the server answered with an error"),
    (r"^LOADING\b|\bMASTERDOWN\b|starting up$|no response$", NOT_YET, "the server says that it is not ready"),
    (r"[Cc]onnection refused|[Cc]ould not connect|Name or service not known", NOT_YET, "it reached nobody"),
    (
        r"\"(?:status|health|state)\"\s*:\s*\"(?:unhealthy|down|error|fail(?:ed|ing)?|degraded|starting)\"",
        NOT_YET,
        "the answer itself says that the service is not healthy",
    ),
    (r"^HTTP/[0-9.]+ [45]\d\d\b", NOT_YET, "the answer was an error"),
)
"""What a probe that ended with exit code 0 must not have said.

Some words mean that the probe cannot fail at all (D14: unverified), others that the service is not well yet.
"""

_CONNECT_TIMEOUT = 1.0


def judge(asked: str, done: Executed) -> ProbeResult:
    """What a probe's end means: exit code 0 counts only when its own words do not contradict it."""
    output = done.output.strip()
    if done.exit_code != 0:
        return ProbeResult(state=HealthState.UNHEALTHY, asked=asked, output=output, exit_code=done.exit_code)
    if found := contradiction(output):
        state, reason = found
        told = f"{output}\n(exit code 0, but {reason})"
        return ProbeResult(state=state, asked=asked, output=told, exit_code=0)
    return ProbeResult(state=HealthState.HEALTHY, asked=asked, output=output, exit_code=0)


def contradiction(output: str) -> tuple[HealthState, str] | None:
    """Why output that came with exit code 0 does not show health; None when nothing speaks against it."""
    for pattern, state, reason in CONTRADICTIONS:
        if re.search(pattern, output, re.MULTILINE):
            return state, reason
    return None


def check_command(config: Mapping[str, Any]) -> tuple[tuple[str, ...], str] | None:
    """(argv, as people write it) of the container's health check, Compose's or the image's; None when it has none."""
    test: Sequence[str] = (config.get("Healthcheck") or {}).get("Test") or ()
    match list(test):
        case ["CMD", *argv] if argv:
            return tuple(argv), shlex.join(argv)
        case ["CMD-SHELL", line]:
            return (*(config.get("Shell") or ("/bin/sh", "-c")), line), line
        case _:
            return None


def known_port(service: Service, config: Mapping[str, Any]) -> int | None:
    """The TCP port it ought to listen on: published, exposed, or the image's own when the image's own command runs."""
    for port in service.ports:
        if port.protocol == "tcp":
            return port.target
    for entry in service.expose:
        port_range, _, protocol = entry.partition("/")
        if protocol in {"", "tcp"}:
            return int(port_range.partition("-")[0])
    if service.command is not None or service.entrypoint is not None:
        return None  # a worker on a web server's image does not listen where the image says
    exposed = [entry.partition("/") for entry in config.get("ExposedPorts") or {}]
    return min((int(port) for port, _, protocol in exposed if protocol == "tcp"), default=None)


def listens(address: str, port: int) -> ProbeResult:
    """Whether something accepts connections there."""
    asked = f"connect to {address}:{port}"
    try:
        socket.create_connection((address, port), timeout=_CONNECT_TIMEOUT).close()
    except OSError as error:
        told = f"nothing listens on port {port} yet ({error.strerror or error})"
        return ProbeResult(state=HealthState.STARTING, asked=asked, output=told)
    return ProbeResult(state=HealthState.HEALTHY, asked=asked, output=f"port {port} accepts connections")


def where_instead(port: int, found: Sequence[tuple[str, int]]) -> str:
    """What the replica does listen on, as the end of a sentence; empty when it listens nowhere yet."""
    inside = [address for address, other in found if other == port]
    if inside:
        return f"; it listens on {inside[0]}:{port} only, which nobody outside reaches: let it listen on 0.0.0.0"
    ports = list(dict.fromkeys(str(other) for _, other in found))
    return f"; it listens on {', '.join(ports)}" if ports else ""
