"""Compose's `post_start` and `pre_stop`: commands that run inside a replica after its start and before its stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from havre.engines.base import Executed
from havre.errors import FailedError, Problem
from havre.model.project import Service

POST_START, PRE_STOP = "post_start", "pre_stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One command; `told` is how the Compose file writes it."""

    argv: tuple[str, ...]
    told: str
    environment: tuple[tuple[str, str], ...] = ()
    user: str | None = None
    working_dir: str = ""
    privileged: bool = False


def hooks_text(service: Service, kind: str) -> str:
    """The service's hooks of that kind as canonical JSON, which can be kept with a replica; empty without any."""
    return dict(service.options).get(kind, "")


def read_hooks(text: str) -> tuple[Hook, ...]:
    """The hooks that `hooks_text` wrote."""
    return tuple(_hook(entry) for entry in msgspec.json.decode(text)) if text else ()


def run_hooks(text: str, run: Callable[[Hook], Executed], *, doing: str) -> None:
    """Run them one after the other; the first that fails raises FailedError with its words."""
    for hook in read_hooks(text):
        done = run(hook)
        if done.exit_code != 0:
            raise FailedError(_hook_failed(doing, hook, done))


def _hook(entry: Mapping[str, Any]) -> Hook:
    command = entry["command"]
    given = entry.get("environment") or {}
    pairs = given.items() if isinstance(given, Mapping) else [_pair(word) for word in given]
    return Hook(
        argv=("/bin/sh", "-c", command) if isinstance(command, str) else tuple(command),
        told=str(command),
        environment=tuple((str(name), str(value)) for name, value in pairs),
        user=entry.get("user"),
        working_dir=entry.get("working_dir") or "",
        privileged=bool(entry.get("privileged")),
    )


def _pair(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


def _hook_failed(doing: str, hook: Hook, done: Executed) -> Problem:
    return Problem(
        summary=f"could not {doing}: exit code {done.exit_code}",
        evidence=(hook.told, *done.output.strip().splitlines()[-5:]),
        hint="the lines above are the hook's own words; correct it in the Compose file",
        code="hook-failed",
    )
