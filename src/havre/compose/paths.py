"""Relative paths made absolute, for every key that holds a path on the host."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Any

from havre.compose.findings import Findings
from havre.compose.rules import Rule, compile_rules, matches
from havre.compose.tree import Map, spot_of

Resolve = Callable[["PathResolver", Any], Any]

_REMOTE = ("https://", "http://", "git://", "ssh://", "github.com/", "git@")


class PathResolver:
    """Resolves against `base`, which may itself be relative to something a caller resolves later."""

    def __init__(self, base: str, home: str, findings: Findings, real: Callable[[str], str]) -> None:
        self._base = base
        self._home = home
        self._findings = findings
        self.real = real

    def resolve(self, root: Any) -> None:
        """Rewrite every path of the table, in place."""
        for container, key, path, action in matches(root, RULES):
            try:
                container[key] = action(self, container[key])
            except ValueError as error:
                spot = spot_of(container, key)
                self._findings.error(str(error), hint="name it", spot=spot, path=path, code="required")

    def absolute(self, path: str) -> str:
        """`path` below the base; `~` is the home of whoever runs the command."""
        path = self.expand_home(path)
        if not path or posixpath.isabs(path) or is_windows_absolute(path):
            return path
        return posixpath.normpath(posixpath.join(self._base, path))

    def expand_home(self, path: str) -> str:
        """`~` and `~/...` only, as Compose does."""
        if path == "~" or path.startswith("~/"):
            return posixpath.normpath(self._home + path[1:]) if self._home else path
        return path


def is_windows_absolute(path: str) -> bool:
    """`C:\\x`, `\\\\server\\share` and `\\\\.\\pipe\\x`."""
    if path.startswith("\\\\"):
        return True
    return len(path) > 2 and path[1] == ":" and path[0].isalpha() and path[2] in "\\/"


def is_remote_context(path: str) -> bool:
    """Build contexts that are fetched rather than read from the disk."""
    return "://" in path or path.startswith(_REMOTE)


def _text(resolver: PathResolver, value: Any) -> Any:
    return resolver.absolute(value) if isinstance(value, str) else value


def _context(resolver: PathResolver, value: Any) -> Any:
    if not isinstance(value, str) or is_remote_context(value) or value.startswith("service:"):
        return value
    return resolver.absolute(value)


def _watched(resolver: PathResolver, value: Any) -> Any:
    path = _text(resolver, value)
    return resolver.real(path) if isinstance(path, str) and posixpath.isabs(path) else path


def _volume(resolver: PathResolver, value: Any) -> Any:
    if isinstance(value, Map) and value.get("type") == "bind":
        if not value.get("source"):
            raise ValueError('invalid mount config for type "bind": field Source must not be empty')
        value["source"] = _text(resolver, value["source"])
    return value


def _local_volume(resolver: PathResolver, value: Any) -> Any:
    """A local volume mounted with `o: bind` is a bind mount in disguise."""
    options = value.get("driver_opts") if isinstance(value, Map) else None
    if not isinstance(options, Map) or "device" not in options:
        return value
    if value.get("driver") == "local" and options.get("o") == "bind":
        options["device"] = _text(resolver, options["device"])
    return value


RULES: Rule[Resolve] = compile_rules(
    {
        "configs.*.file": _text,
        "secrets.*.file": _text,
        "services.*.build.additional_contexts.*": _context,
        "services.*.build.context": _context,
        "services.*.build.ssh.*": _text,
        "services.*.develop.watch.*.path": _watched,
        "services.*.env_file.*.path": _text,
        "services.*.extends.file": _text,
        "services.*.label_file.*": _text,
        "services.*.volumes.*": _volume,
        "volumes.*": _local_volume,
    }
)
