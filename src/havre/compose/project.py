"""Loads a Compose project to its normal form: the whole story, one call per phase."""

import posixpath
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from havre.compose.consistency import check_project
from havre.compose.discovery import (
    Parsed,
    default_env_files,
    discover_files,
    env_file_variables,
    files_from_environment,
    no_files,
    normal_name,
    project_name,
)
from havre.compose.documents import Scope, load_documents, stop_with_references
from havre.compose.environment import Environment
from havre.compose.findings import fail
from havre.compose.loading import Loading, Switches
from havre.compose.normalise import contents, normalise, resolve_contents
from havre.compose.reader import DiskReader, Reader
from havre.compose.selection import drop_unused, select_services
from havre.compose.service_files import resolve_env_files, resolve_label_files
from havre.compose.tree import Map, Origin, Origins, Path, VariableUse, plain
from havre.compose.values import convert_values
from havre.errors import Location

if TYPE_CHECKING:
    from havre.errors import Problem


class LoadRequest(NamedTuple):
    """What to load. Relative paths start at `working_dir`; the environment is passed in, never read here."""

    environment: Mapping[str, str]
    files: tuple[str, ...] = ()
    working_dir: str = "."
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    project_name: str | None = None
    services: tuple[str, ...] = ()
    resolve: bool = True
    environment_strict: bool = False


class LoadedProject(NamedTuple):
    """A project in normal form, with the origin of every value."""

    name: str
    model: dict[str, Any]
    origins: Origins
    warnings: tuple["Problem", ...]
    files: tuple[str, ...]
    disabled_services: tuple[str, ...]
    variables: Mapping[str, VariableUse]
    consumed: tuple[tuple[Path, Location], ...] = ()
    """Keys that loading used up (`extends`, `env_file`, …) with their places, for the report."""

    config_contents: Mapping[str, str] = MappingProxyType({})
    """The content of configs declared with `environment: NAME`, which the normal form omits."""

    def origin(self, path: str) -> Origin:
        """Where the value at `services.web.image` came from; the nearest ancestor answers for what is implied."""
        return self.origins.origin(path)


class Plan(NamedTuple):
    """A load with every choice made: absolute files, directory and variables."""

    files: tuple[str, ...]
    directory: str
    environment: Environment
    resolves_to: str | None = None
    given_name: str = ""
    default_name: str = ""
    profiles: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    prunes: bool = False


def load_project(request: LoadRequest, *, read: Reader | None = None) -> LoadedProject:
    """Load a project as `docker compose config` would; raises InputError with all problems found."""
    base = posixpath.abspath(request.working_dir)
    resolves = request.resolve  # what is not filled in cannot be held against each other either
    switches = Switches(interpolates=resolves, checks_consistency=resolves, is_strict=request.environment_strict)
    home = request.environment.get("HOME", "")
    loading = Loading(reader=read or DiskReader(), base=base, home=home, switches=switches)
    return load_plan(loading, plan_load(loading, request))


def plan_load(loading: Loading, request: LoadRequest) -> Plan:
    """Find the files, the directory and the variables of a request, as the Compose CLI does."""
    process = Environment.of(request.environment)
    files = tuple(loading.absolute(file, loading.base) for file in request.files)
    directory = posixpath.dirname(files[0]) if files else loading.base
    env_files = tuple(loading.absolute(file, loading.base) for file in request.env_files)
    env_files = env_files or default_env_files(loading, process, directory)
    loading.named.update(files, env_files)
    loading.inside.add(directory)
    environment = process.below(env_file_variables(loading, env_files, process))
    if not files:
        files = files_from_environment(loading, environment, loading.base) or discover_files(loading, loading.base)
        directory = posixpath.dirname(files[0]) if files else directory
        loading.inside.add(directory)
        if directory != loading.base and not request.env_files:
            more = default_env_files(loading, environment, directory)
            environment = environment.below(env_file_variables(loading, more, environment))
    if not files:
        raise no_files(loading.base)
    profiles = request.profiles or tuple((environment.get("COMPOSE_PROFILES") or "").split(","))
    return Plan(
        files=files,
        directory=directory,
        environment=environment,
        given_name=request.project_name or environment.get("COMPOSE_PROJECT_NAME") or "",
        default_name=normal_name(posixpath.basename(directory)),
        profiles=profiles,
        services=request.services,
    )


def load_plan(loading: Loading, plan: Plan) -> LoadedProject:
    """Run all phases after the choice of files."""
    loading.named.update(plan.files)
    parsed = [(file, loading.parse(file)) for file in plan.files]
    loading.findings.stop_on_errors()
    name = project_name(loading, parsed, plan.environment, plan.given_name, plan.default_name)
    environment = plan.environment.with_value("COMPOSE_PROJECT_NAME", name) if name else plan.environment
    root = _model(loading, plan, parsed, environment, name)
    disabled = _finish(loading, plan, root, environment)
    return _loaded(loading, plan, root, name, disabled)


def _model(loading: Loading, plan: Plan, parsed: list[Parsed], environment: Environment, name: str) -> Map:
    """The merged document with everything implied made explicit."""
    switches = loading.switches
    start = plan.directory if plan.resolves_to is None else plan.resolves_to
    scope = Scope(directory=plan.directory, resolves_to=start, environment=environment)
    root = load_documents(loading, parsed, scope)
    if not root:
        raise fail(
            "empty compose file",
            hint="add `services:` with at least one service",
            at=Location(loading.shown(plan.files[0])),
            code="empty",
        )
    if switches.validates and not name:
        raise fail("project name must not be empty", hint="add `name:` to the Compose file", code="project-name")
    if switches.normalises:
        normalise(root, name, environment)
    elif name:
        root["name"] = name
    resolve_contents(root, environment)
    convert_values(root, loading.findings, keeps_unreadable=not switches.interpolates)
    stop_with_references(root, loading.findings)
    return root


def _finish(loading: Loading, plan: Plan, root: Map, environment: Environment) -> tuple[str, ...]:
    """Keep the enabled services, check that all fits together, read the files of services."""
    switches = loading.switches
    for name, service in (root.get("services") or {}).items():
        if service is None:
            root["services"][name] = Map()
    disabled = select_services(root, plan.profiles, plan.services, loading.findings)
    if plan.prunes:
        drop_unused(root)
    loading.findings.stop_on_errors()
    if switches.checks_consistency:
        check_project(root, disabled, loading.findings)
    if switches.resolves_environment and switches.interpolates:
        resolve_env_files(loading, root, environment)
    if switches.interpolates:
        resolve_label_files(loading, root, environment)
    loading.findings.stop_on_errors()
    return disabled


def _loaded(loading: Loading, plan: Plan, root: Map, name: str, disabled: tuple[str, ...]) -> LoadedProject:
    return LoadedProject(
        name=name,
        model=plain(root),
        origins=Origins(root, loading.sources, Location(loading.shown(plan.files[0]))),
        warnings=loading.findings.warnings,
        files=tuple(loading.files),
        disabled_services=disabled,
        variables=_variables(loading),
        config_contents=dict(contents(root, "configs", plan.environment)),
        consumed=tuple(dict.fromkeys(loading.consumed)),
    )


def _variables(loading: Loading) -> dict[str, VariableUse]:
    """Every variable used, with all the places that used it."""
    places: dict[str, list[Location]] = {}
    first: dict[str, VariableUse] = {}
    for spot, uses in loading.sources.uses.items():
        where = [place for place in (loading.sources.location(spot),) if place]
        for use in uses:
            first.setdefault(use.name, use)
            places.setdefault(use.name, []).extend(where)
    return {
        name: VariableUse(name=name, source=use.source, at=use.at, places=tuple(sorted(places[name])))
        for name, use in sorted(first.items())
    }
