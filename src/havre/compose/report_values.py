"""Treatments that depend on a key's value, and notes about keys that meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from havre.compose.key_rows import Treatment, changed, honoured, refused
from havre.compose.lower_problems import UNMOUNTABLE
from havre.compose.lower_runtime import lower_replicas
from havre.compose.lower_values import text
from havre.compose.normal_form import NormalForm, section
from havre.errors import Problem, Severity


def treatment_of_value(key: str, value: Any, engine: str) -> Treatment | None:
    """The treatment of this very value, where it is another than its key's."""
    rule = _RULES.get(key)
    return rule(value, engine) if rule is not None else None


def notes_on(loaded: NormalForm, engine: str) -> tuple[Problem, ...]:
    """What is worth knowing about keys that only together have an effect."""
    found: list[Problem] = []
    for name, spec in section(loaded, "services").items():
        found += _scaled(loaded, name, spec)
        if engine != "process":
            found += _ports_of_the_host(loaded, name, spec)
    return tuple(found)


def _mount_type(kind: Any, engine: str) -> Treatment | None:
    del engine
    return refused(f"a mount of type `{kind}` cannot be made", UNMOUNTABLE[kind]) if kind in UNMOUNTABLE else None


def _mode(mode: Any, engine: str) -> Treatment | None:
    del engine
    if mode == "replicated":
        return honoured()
    if mode == "global":
        return changed("on one machine `global` is one replica")
    return refused(
        f"`{mode}` is a kind of Swarm job", "make it a service that others wait for: `service_completed_successfully`"
    )


def _healthcheck(check: Any, engine: str) -> Treatment | None:
    del engine
    if not isinstance(check, Mapping) or check.get("test") or check.get("disable"):
        return None
    return changed("without a `test` the image's own check stays, with the image's own times")


_RULES: Mapping[str, Callable[[Any, str], Treatment | None]] = {
    "services.*.volumes.[].type": _mount_type,
    "services.*.deploy.mode": _mode,
    "services.*.healthcheck": _healthcheck,
}


def _scaled(loaded: NormalForm, name: str, spec: Mapping[str, Any]) -> Iterator[Problem]:
    """Replicas cannot share a port of the server; with the edge in front they need not (F37)."""
    replicas = lower_replicas(spec)
    shared = [
        f"port {port['published']} ({loaded.origin(f'services.{name}.ports[{index}]').location}) is opened by the edge"
        for index, port in enumerate(spec.get("ports") or ())
        if port.get("published") and text(port.get("protocol") or "tcp").lower() == "tcp"
    ]
    if replicas > 1 and shared:
        yield Problem(
            summary=f"{replicas} replicas behind one published port",
            subject=f"services.{name}",
            at=loaded.origin(f"services.{name}").location,
            evidence=tuple(shared),
            hint="nothing to do: the edge leads to all of them; with `docker compose` alone the second could not start",
            code="compose.shared-by-replicas",
            severity=Severity.NOTE,
        )


def _ports_of_the_host(loaded: NormalForm, name: str, spec: Mapping[str, Any]) -> Iterator[Problem]:
    if spec.get("network_mode") == "host" and spec.get("ports"):
        yield Problem(
            summary="`ports` has no effect beside `network_mode: host`",
            subject=f"services.{name}.ports",
            at=loaded.origin(f"services.{name}.ports").location,
            hint="remove `ports`: the service opens its own ports on the server itself",
            code="compose.host-ports",
            severity=Severity.WARNING,
        )
