"""Turns the manifest's values, already read and merged, into the App that the rest of Havre speaks of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from havre.manifest.keys import METHODS
from havre.model.app import (
    App,
    Autoscale,
    Migration,
    Needs,
    ProcessSpec,
    SecretSource,
    Support,
    TlsPolicy,
    Verification,
    Waiver,
)
from havre.model.backup import BackupPolicy, PitrPolicy, Retention
from havre.model.route import RateLimit, Route

Values = Mapping[str, Any]


def lower(values: Values, *, directory: str, environment: str) -> App:
    """The App; whatever is absent is at its default."""
    release = values.get("release", {})
    migration = release.get("migrate")
    renamed = _renamed(
        values,
        compose="compose", env_file="env_files", profiles="profiles", engine="engine",
        keep_releases="keep_releases", hold="hold_limit", notify="notify",
    )  # fmt: skip
    return App(
        name=values["app"],
        environment=environment,
        directory=directory,
        routes=tuple(_route(route) for route in values.get("routes", ())),
        migration=Migration(**migration) if migration else None,
        verifications=tuple(_verification(item) for item in release.get("verify", ())),
        backups=tuple(_backup(service, item or {}) for service, item in values.get("backups", {}).items()),
        waivers=tuple(Waiver(**waiver) for waiver in values.get("waivers", ())),
        processes=tuple(_process(service, item) for service, item in values.get("processes", {}).items()),
        autoscale=tuple(_autoscale(service, item) for service, item in values.get("autoscale", {}).items()),
        tls=TlsPolicy(**values.get("tls", {})),
        secrets=tuple(SecretSource(**secret) for secret in values.get("secrets", ())),
        needs=Needs(**values.get("server", {}).get("needs", {})),
        recommends=Needs(**values.get("server", {}).get("recommends", {})),
        support=_support(values.get("support", {})),
        **renamed,
    )


def _renamed(values: Values, **names: str) -> dict[str, Any]:
    """What is there, under the model's names."""
    return {name: values[key] for key, name in names.items() if key in values}


def _route(values: Values) -> Route:
    service, port = values.get("to", ("", 0))
    count, period = values.get("rate_limit", (0, 0))
    renamed = _renamed(
        values,
        path="path", redirect="redirect_to", strip="strip_prefix", max_body="max_body", timeout="timeout",
        websocket_timeout="tunnel_timeout", balance="balance", sticky="sticky", allow="allow",
        compress="compress", maintenance="maintenance", https_redirect="https_redirect",
    )  # fmt: skip
    if "path" in renamed:
        renamed["path"] = renamed["path"].rstrip("/") or "/"
    return Route(
        host=_host(values["host"]),
        service=service,
        port=port,
        rate_limit=RateLimit(count=count, period=period) if count else None,
        basic_auth=tuple(values.get("basic_auth", {}).items()),
        headers=tuple(values.get("headers", {}).items()),
        cache_ttl=int(values["cache"]) if "cache" in values else None,
        **renamed,
    )


def _host(text: str) -> str:
    """As browsers send it: in small letters, and without the dot that DNS may end a name with."""
    return text.lower().rstrip(".")


def _verification(values: Values) -> Verification:
    method = next(name for name in METHODS if name in values)
    expect = values.get("expect", {})
    headers = dict(values.get("headers", {}))
    body = values.get("body")
    if body is not None and not isinstance(body, str):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    return Verification(
        host=_host(values["host"]) if "host" in values else None,
        method=method.upper(),
        path=values[method],
        body=body,
        headers=tuple(headers.items()),
        json=tuple(_dotted(expect.get("json", {}))),
        **_renamed(values, timeout="timeout", retries="retries"),
        **_renamed(expect, status="status", contains="contains"),
    )


def _dotted(values: Values, prefix: str = "") -> list[tuple[str, str]]:
    """(dotted key, canonical JSON) of every value that is not itself a mapping."""
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found += _dotted(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", msgspec.json.encode(value, order="sorted").decode()))
    return found


def _autoscale(service: str, values: Values) -> Autoscale:
    renamed = _renamed(values, min="least", max="most", cpu="cpu", memory="memory")
    return Autoscale(service=service, **renamed)


def _backup(service: str, values: Values) -> BackupPolicy:
    same = (
        "schedule",
        "kind",
        "to",
        "databases",
        "volumes",
        "command",
        "directory",
        "restore_command",
        "drill",
        "rpo",
        "rto",
    )
    return BackupPolicy(
        service=service,
        keep=_retention(values.get("keep", {})),
        pitr=_pitr(values.get("pitr") or {"enabled": False}),
        **_renamed(values, **dict(zip(same, same, strict=True)), **{"assert": "assertions"}),
    )


def _pitr(values: Values) -> PitrPolicy | None:
    settings = {name: value for name, value in values.items() if name != "enabled"}
    return PitrPolicy(**settings) if values.get("enabled", True) else None


def _retention(values: Values) -> Retention:
    """Once one age is given, the ages that are not given are not kept."""
    ages = ("last", "daily", "weekly", "monthly")
    given = dict.fromkeys(ages, 0) if any(age in values for age in ages) else {}
    return Retention(**{**given, **values})


def _support(values: Values) -> Support:
    return Support(**{**values, "contacts": tuple(values.get("contacts", {}).items())})


def _process(service: str, values: Values) -> ProcessSpec:
    environment = tuple(values.get("environment", {}).items())
    return ProcessSpec(
        service=service,
        environment=environment,
        **_renamed(values, command="command", build="build", source="source"),
    )
