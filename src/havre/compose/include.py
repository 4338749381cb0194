"""`include`: whole Compose projects taken in, each with its own directory and variables."""

from __future__ import annotations

import posixpath
from typing import Any

from havre.compose.documents import Scope, load_documents
from havre.compose.environment import Environment, read_variables
from havre.compose.findings import fail
from havre.compose.loading import Loading, relative_to
from havre.compose.merge import RULES, Merger
from havre.compose.shapes import check
from havre.compose.specification import DOCUMENT
from havre.compose.tree import Map, Path, Seq, drop, put, spot_of

_SECTIONS = ("services", "volumes", "networks", "secrets", "configs", "models")
_NOTHING = "/dev/null"


class Includer:
    """Takes the includes of one document in."""

    def __init__(self, loading: Loading, scope: Scope, file: str, resets: tuple[Path, ...]) -> None:
        self._loading = loading
        self._scope = scope
        self._file = file
        self._resets = resets

    def apply(self, root: Map) -> None:
        """Add the resources of all included projects, in place."""
        includes = root.pop("include")
        if includes is None:
            return
        spot = root.at.get("include", 0)
        if not isinstance(includes, Seq):
            self._error("`include` must be a list", "write one `- path` per project", spot)
            return
        known = len(self._loading.findings.errors)
        check(Map({"include": includes}, {"include": spot}), DOCUMENT, self._loading.findings)
        if len(self._loading.findings.errors) > known:
            return
        for index, entry in enumerate(includes):
            self._include(root, entry, spot_of(includes, index))

    def _include(self, root: Map, entry: Any, spot: int) -> None:
        config = entry if isinstance(entry, Map) else Map({"path": entry})
        paths = _texts(config.get("path"))
        if not paths or not all(paths):
            self._error("include needs a path", "write `- path`, or `path:` in the long form", spot)
            return
        files = [self._loading.absolute(path, self._scope.directory) for path in paths]
        trail = (*self._scope.trail, self._file)
        if files[0] in trail:
            self._cycle((*trail, files[0]), spot)
        directory, resolves_to = self._directory(config, files[0])
        scope = Scope(
            directory=directory,
            resolves_to=resolves_to,
            environment=self._environment(config, directory),
            trail=trail,
        )
        imported = load_documents(self._loading, [(file, self._loading.parse(file)) for file in files], scope)
        self._add(root, imported)

    def _directory(self, config: Map, first: str) -> tuple[str, str]:
        """The directory of the included project, and the way to it from here."""
        here = self._scope.directory
        given = config.get("project_directory")
        directory = self._loading.absolute(str(given), here) if given else posixpath.dirname(first)
        if given and posixpath.isabs(str(given)):
            return directory, directory
        return directory, relative_to(directory, here)

    def _environment(self, config: Map, directory: str) -> Environment:
        names = _texts(config.get("env_file"))
        if not names:
            default = posixpath.join(directory, ".env")
            files = [default] if self._loading.reader.is_file(default) else []
        else:
            given = [name for name in names if name != _NOTHING]
            files = [self._loading.absolute(name, self._scope.directory) for name in given]
        contents = [(self._loading.read(file), self._loading.shown(file)) for file in files]
        found = read_variables(contents, self._scope.environment, self._loading.findings)
        return self._scope.environment.below(found)

    def _add(self, root: Map, imported: Map) -> None:
        for section in _SECTIONS:
            resources = imported.get(section)
            if not isinstance(resources, Map):
                continue
            target = root.get(section)
            if not isinstance(target, Map):
                target = root[section] = Map()
            for name, resource in resources.items():
                place = spot_of(resources, name)
                if name in target and target[name] != resource:
                    resource = self._overridden(section, name, resource, target)
                    place = spot_of(target, name)
                put(target, name, resource, place)

    def _overridden(self, section: str, name: str, imported: Any, target: Map) -> Any:
        """What the including file says about a resource is merged over what the included project says."""
        for path in self._resets:
            if path[:1] == (section,):
                drop(Map({section: Map({name: imported})}), path)
        rule = RULES.below(section)
        below = rule.below(name) if rule else None
        merger = Merger(self._loading.findings)
        return merger.values(imported, target[name], (section, name), below, spot_of(target, name))

    def _cycle(self, trail: tuple[str, ...], spot: int) -> None:
        shown = [self._loading.shown(file) for file in trail]
        raise fail(
            f"include cycle detected: {shown[0]} " + " ".join(f"include {file}" for file in shown[1:]),
            hint="include in one direction only",
            at=self._loading.sources.location(spot),
            code="include-cycle",
        )

    def _error(self, summary: str, hint: str, spot: int) -> None:
        self._loading.findings.error(summary, hint=hint, spot=spot, path=("include",), code="include")


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    return [] if value is None else [str(value)]
