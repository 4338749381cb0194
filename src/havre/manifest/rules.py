"""What must hold between keys of the manifest: rules that no single value can break."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from havre.compose.findings import Findings
from havre.compose.tree import Map, Path, spot_along

Values = Mapping[str, Any]
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`~-]+")
OF_AN_ANSWER = (
    "strip", "timeout", "websocket_timeout", "balance", "sticky", "basic_auth", "allow", "headers", "cache", "compress",
)  # fmt: skip
"""Keys of a route that need a service which answers."""


def check_rules(values: Values, tree: Map, findings: Findings) -> None:
    """Record every broken rule; values that could not be read are passed over."""
    told = _Told(tree, findings)
    _own_certificate(values, told)
    _command_backups(values, told)
    _strip_without_path(values, told)
    _redirects(values, told)
    _header_names(values, told)
    _of_a_service_as_a_whole(values, told)
    _doubles(values, told)
    _autoscale(values, told)


class _Told:
    def __init__(self, tree: Map, findings: Findings) -> None:
        self._tree = tree
        self._findings = findings

    def __call__(self, summary: str, *, hint: str, path: Path) -> None:
        spot = spot_along(self._tree, path)
        self._findings.error(summary, hint=hint, spot=spot, path=path, code="manifest-rule")

    def line(self, path: Path) -> str:
        at = self._findings.sources.location(spot_along(self._tree, path))
        return f"line {at.line}" if at else "elsewhere"


def _own_certificate(values: Values, told: _Told) -> None:
    tls = values.get("tls") or {}
    has = [name for name in ("certificate", "key") if tls.get(name)]
    if tls.get("mode") == "own" and len(has) < 2:
        told("`mode: own` needs `certificate` and `key`", hint="name both PEM files", path=("tls",))
    elif has and tls.get("mode") != "own":
        told(f"`{has[0]}` is only used with `mode: own`", hint="add `mode: own`, or remove it", path=("tls", has[0]))


def _command_backups(values: Values, told: _Told) -> None:
    for service, backup in (values.get("backups") or {}).items():
        backup = backup or {}
        if backup.get("kind") == "command" and not backup.get("command"):
            hint = "add `command`: what it writes to its standard output is kept"
            told("`kind: command` needs `command`", hint=hint, path=("backups", service))
        if backup.get("directory") and not backup.get("command"):
            hint = "add the `command` that writes it; for a directory as it is use `kind: volume`"
            told("`directory` needs `command`", hint=hint, path=("backups", service, "directory"))
        elif not str(backup.get("directory") or "/").startswith("/"):
            hint = "give the path as the replica sees it, from `/` on"
            told("`directory` is no absolute path", hint=hint, path=("backups", service, "directory"))
        keeps_log = (backup.get("pitr") or {"enabled": False}).get("enabled", True)
        if keeps_log and backup.get("kind") not in (None, "postgres"):
            hint = "remove `pitr`: only PostgreSQL has a write-ahead log to keep"
            told(f"`pitr` does not go with `kind: {backup['kind']}`", hint=hint, path=("backups", service, "pitr"))


def _autoscale(values: Values, told: _Told) -> None:
    for service, item in (values.get("autoscale") or {}).items():
        if not {"cpu", "memory"} & set(item):
            hint = "add `cpu: 70`, `memory: 80` or both"
            told("nothing says what load to aim at", hint=hint, path=("autoscale", service))
        if item.get("min", 1) > item.get("max", 100):
            told("`min` is more than `max`", hint="correct one of them", path=("autoscale", service, "min"))


def _strip_without_path(values: Values, told: _Told) -> None:
    for index, route in enumerate(values.get("routes") or ()):
        if route.get("strip") and route.get("path", "/") == "/":
            told("`strip` has nothing to remove", hint="add `path`, or remove it", path=("routes", index, "strip"))


def _redirects(values: Values, told: _Told) -> None:
    """Whoever writes a login beside a redirect believes that it is asked for."""
    for index, route in enumerate(values.get("routes") or ()):
        for name in OF_AN_ANSWER if route.get("redirect") else ():
            if route.get(name):
                hint = "write it at the route that it redirects to, and remove it here"
                told(f"`{name}` does nothing for a redirect", hint=hint, path=("routes", index, name))


def _header_names(values: Values, told: _Told) -> None:
    for index, route in enumerate(values.get("routes") or ()):
        for name in route.get("headers") or ():
            if not _HEADER.fullmatch(name):
                hint = "use letters, digits and `-`, such as `X-Frame-Options`"
                told(f"`{name}` is not the name of a header", hint=hint, path=("routes", index, "headers", name))


def _of_a_service_as_a_whole(values: Values, told: _Told) -> None:
    """These hold for the replicas of a service, whichever route leads there."""
    first: dict[tuple[object, str], tuple[object, int]] = {}
    for index, route in enumerate(values.get("routes") or ()):
        for name, default in (("balance", "leastconn"), ("sticky", False), ("compress", False)):
            value = route.get(name, default)
            before, at = first.setdefault((route.get("to"), name), (value, index))
            if route.get("to") and value != before:
                service, port = route["to"]
                summary = f"the route to {service}:{port} at {told.line(('routes', at))} says otherwise about `{name}`"
                hint = (
                    f"write the same `{name}` at all routes to {service}:{port}: it holds for its replicas as a whole"
                )
                told(summary, hint=hint, path=("routes", index))


def _doubles(values: Values, told: _Told) -> None:
    """Two routes for one host and path: nobody could say which of them answers."""
    seen: dict[tuple[str, str], int] = {}
    for index, route in enumerate(values.get("routes") or ()):
        host, path = str(route.get("host")).lower(), str(route.get("path", "/")).rstrip("/") or "/"
        first = seen.setdefault((host, path), index)
        if first != index:
            summary = f"{host}{path} already has a route at {told.line(('routes', first))}"
            told(summary, hint="give one of them another `path`, or remove it", path=("routes", index))
