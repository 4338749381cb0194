"""From files to one merged document, in the order the Compose Specification asks for.

For each document: interpolate, extend, include, merge over what is there, reduce repeated entries, check
against the specification, expand short forms. Then, for all of them: defaults, checks of values, paths.
"""

from typing import NamedTuple

from havre.compose.canonical import Expander
from havre.compose.consistency import check_values
from havre.compose.environment import Environment
from havre.compose.findings import Findings, fail
from havre.compose.interpolate import Interpolation
from havre.compose.loading import Loading
from havre.compose.merge import Merger
from havre.compose.normalise import resolve_environment, set_defaults
from havre.compose.shapes import check
from havre.compose.specification import DOCUMENT
from havre.compose.tree import Map, Path, Seq, drop, spot_of
from havre.compose.unique import enforce_unique
from havre.compose.yamltext import Document
from havre.errors import Location


class Scope(NamedTuple):
    """Where a set of Compose files is read: its directory, its variables, the files that included it.

    `resolves_to` is what relative paths are resolved against now: the directory itself for a project, the
    way from the including project's directory for an included one.
    """

    directory: str
    resolves_to: str
    environment: Environment
    trail: tuple[str, ...] = ()


def load_documents(loading: Loading, files: list[tuple[str, list[Document]]], scope: Scope) -> Map:
    """The merged document of some Compose files, first file first."""
    merged = Map()
    each = [(file, document) for file, documents in files for document in documents]
    for number, (file, document) in enumerate(each, 1):
        is_whole = number == len(each) and not scope.trail
        merged = _add_document(loading, merged, document, file, scope, is_whole=is_whole)
    switches = loading.switches
    if switches.sets_defaults:
        set_defaults(merged)
    if switches.validates:
        check_values(merged, loading.findings)
    if switches.resolves_paths or scope.trail:
        loading.paths_below(scope.resolves_to).resolve(merged)
    resolve_environment(merged, scope.environment)
    if not scope.trail:
        stop_with_references(merged, loading.findings)
    loading.findings.stop_on_errors()
    return merged


def read_services(loading: Loading, file: str, environment: Environment) -> tuple[Map, tuple[Path, ...]]:
    """The services of a file that others extend, in long form, and what the file resets."""
    merged = Map()
    resets: list[Path] = []
    for document in loading.parse(file):
        root = _mapping(document, loading.shown(file))
        _interpolate(loading, root, environment)
        merged = Merger(loading.findings).documents(merged, root)
        resets.extend(document.resets)
        _expander(loading).expand(merged)
    enforce_unique(merged, loading.findings)
    services = merged.get("services")
    if services is not None and not isinstance(services, Map):
        spot = spot_of(merged, "services")
        hint = "write one key per service"
        loading.findings.error("services must be a mapping", hint=hint, spot=spot, path=("services",), code="type")
    return services if isinstance(services, Map) else Map(), tuple(resets)


def _add_document(loading: Loading, base: Map, document: Document, file: str, scope: Scope, *, is_whole: bool) -> Map:
    findings, switches = loading.findings, loading.switches
    root = _mapping(document, loading.shown(file))
    _interpolate(loading, root, scope.environment)
    if switches.extends:
        _extend(loading, root, document, file, scope)
    for path in document.resets:
        drop(base, path)
    if switches.includes and "include" in root:
        from havre.compose.include import Includer  # includes load documents in their turn

        Includer(loading, scope, file, document.resets).apply(root)
    merged = Merger(findings).documents(base, root)
    enforce_unique(merged, findings)
    if switches.validates:
        check(merged, DOCUMENT, findings)
        _drop_version(loading, merged)
    _stop_with_all(merged, findings, is_whole=is_whole)
    _expander(loading).expand(merged)
    _drop_empty_dns(merged)
    enforce_unique(merged, findings)
    _stop_with_all(merged, findings, is_whole=is_whole)
    return merged


def _stop_with_all(merged: Map, findings: Findings, *, is_whole: bool) -> None:
    if findings.errors:
        from havre.compose.remaining import stop_with_all  # only needed when something is wrong

        stop_with_all(merged, findings, is_whole=is_whole)


def stop_with_references(merged: Map, findings: Findings) -> None:
    """End the load when something is wrong with the whole project, and tell the wrong names with it."""
    if findings.errors:
        from havre.compose import remaining  # only needed when something is wrong

        remaining.stop_with_references(merged, findings)


def _extend(loading: Loading, root: Map, document: Document, file: str, scope: Scope) -> None:
    services = root.get("services")
    if isinstance(services, Map) and any(isinstance(one, Map) and "extends" in one for one in services.values()):
        from havre.compose.extends import Extender  # most projects need none

        Extender(loading, scope.environment, scope.directory, read_services).apply(services, file, document.resets)


def _mapping(document: Document, shown: str) -> Map:
    if isinstance(document.root, Map):
        return document.root
    raise fail(
        "top-level object must be a mapping",
        hint="a Compose file starts with keys like `services:`",
        at=Location(shown, 1, 1),
        code="type",
    )


def _interpolate(loading: Loading, root: Map, environment: Environment) -> None:
    if loading.switches.interpolates:
        Interpolation(environment, loading.findings, is_strict=loading.switches.is_strict).apply(root)


def _expander(loading: Loading) -> Expander:
    return Expander(loading.findings, keeps_unreadable=not loading.switches.interpolates)


def _drop_version(loading: Loading, merged: Map) -> None:
    if "version" not in merged:
        return
    loading.findings.warn(
        "the attribute `version` is obsolete and ignored",
        hint="remove it",
        at=loading.sources.location(spot_of(merged, "version")),
        code="obsolete-version",
        subject="version",
    )
    del merged["version"]


def _drop_empty_dns(merged: Map) -> None:
    services = merged.get("services")
    for service in services.values() if isinstance(services, Map) else ():
        servers = service.get("dns") if isinstance(service, Map) else None
        if isinstance(servers, Seq) and not all(servers):
            service["dns"] = Seq([server for server in servers if server])
