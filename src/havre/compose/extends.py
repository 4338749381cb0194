"""`extends`: a service built on another one, of the same file or of another."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Any

from havre.compose.environment import Environment
from havre.compose.findings import closest, fail
from havre.compose.loading import Loading, relative_to
from havre.compose.merge import Merger
from havre.compose.tree import Map, Path, clone, drop, size, spot_of

ReadServices = Callable[[Loading, str, Environment], tuple[Map, tuple[Path, ...]]]

DEEPEST = 100
_SHOWN = 10
MOST_VALUES = 1_000_000

_Link = tuple[str, str]


class _File:
    """The services of one file, and where relative paths in them start."""

    __slots__ = ("directory", "name", "resets", "services")

    def __init__(self, name: str, directory: str, services: Map, resets: tuple[Path, ...]) -> None:
        self.name = name
        self.directory = directory
        self.services = services
        self.resets = resets


class Extender:
    """Resolves the `extends` of one document; files are read once however many services use them."""

    def __init__(self, loading: Loading, environment: Environment, directory: str, read: ReadServices) -> None:
        self._loading = loading
        self._environment = environment
        self._directory = directory
        self._read = read
        self._files: dict[str, _File] = {}
        self._values = 0

    def apply(self, services: Map, file: str, resets: tuple[Path, ...]) -> None:
        """Replace every service that extends another by the result, in place."""
        here = _File(file, self._directory, services, resets)
        for name in list(services):
            self._resolve(here, name, ())

    def _resolve(self, file: _File, name: str, trail: tuple[_Link, ...]) -> Any:
        service = file.services[name]
        reference = self._reference(service, name) if isinstance(service, Map) else None
        if reference is None:
            return service
        spot = spot_of(service, "extends")
        link = (file.name, name)
        if link in trail:
            self._error(_ring((*trail, link)), "extend in one direction only", spot, name)
            return None
        if len(trail) >= DEEPEST:
            self._error(f"extends more than {DEEPEST} services deep", "extend fewer levels", spot, name)
            return None
        other_name, other_file = reference
        base_file = self._file(other_file, file) if other_file else file
        if other_name not in base_file.services:
            self._missing(name, other_name, file, base_file, spot)
            return None
        base = self._resolve(base_file, other_name, (*trail, link))
        if base is None:  # as Compose has it: nothing to build on, and `extends` stays written
            return service
        if not isinstance(base, Map):
            shown = self._loading.shown(base_file.name)
            self._error(f"services.{other_name} must be a mapping in {shown}", "write keys below it", spot, name)
            return service
        merged = self._merge(base, service, name, file, base_file)
        file.services[name] = merged
        return merged

    def _reference(self, service: Map, name: str) -> tuple[str, str] | None:
        extends = service.get("extends")
        if isinstance(extends, str):
            return extends, ""
        if not isinstance(extends, Map):
            return None
        other = extends.get("service")
        if not isinstance(other, str):
            spot = spot_of(service, "extends")
            self._error(f"extends.{name}.service is required", "name the service to extend", spot, name)
            return None
        file = extends.get("file") or ""
        if not isinstance(file, str):
            self._error("extends.file must be a string", "name one file", spot_of(extends, "file"), name)
            return None
        return other, file

    def _file(self, name: str, origin: _File) -> _File:
        path = self._loading.absolute(name, origin.directory)
        if path not in self._files:
            services, resets = self._read(self._loading, path, self._environment)
            self._files[path] = _File(path, posixpath.dirname(path), services, resets)
        return self._files[path]

    def _merge(self, base: Map, service: Map, name: str, file: _File, base_file: _File) -> Map:
        source: Map = clone(base)
        self._count(source, spot_of(service, "extends"))
        if base_file is not file and base_file.directory != file.directory:
            start = relative_to(base_file.directory, file.directory)
            self._loading.paths_below(start).resolve(Map({"services": Map({name: source})}))
        for path in file.resets:
            if path[:2] == ("services", name):
                drop(source, path[2:])
        merged = Merger(self._loading.findings).service(source, service, name)
        merged.pop("extends", None)
        return merged

    def _count(self, source: Map, spot: int) -> None:
        self._values += size(source)
        if self._values > MOST_VALUES:
            at = self._loading.sources.location(spot)
            summary = f"`extends` copies more than {MOST_VALUES:,} values in this file"
            raise fail(summary, hint="extend smaller services, or fewer", at=at, code="extends")

    def _missing(self, name: str, other: str, file: _File, base_file: _File, spot: int) -> None:
        shown = self._loading.shown(base_file.name)
        summary = f'cannot extend service "{name}" in {self._loading.shown(file.name)}: service "{other}" not found'
        hint = closest(other, base_file.services) or f"{shown} has: {', '.join(base_file.services) or 'no services'}"
        self._error(summary if base_file is file else f"{summary} in {shown}", hint, spot, name)

    def _error(self, summary: str, hint: str, spot: int, name: str) -> None:
        path = ("services", name, "extends")
        self._loading.findings.error(summary, hint=hint, spot=spot, path=path, code="extends")


def _ring(links: tuple[_Link, ...]) -> str:
    links = (*links[:_SHOWN], links[-1]) if len(links) > _SHOWN else links
    first = f"{links[0][1]} in {links[0][0]}"
    return f"Circular reference: {first}, " + ", ".join(f"extends {name} in {file}" for file, name in links[1:])
