"""Which Compose files, env files and project name a command is about, by the Compose CLI's own search order."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from havre.compose.environment import Environment, Variable, read_variables
from havre.compose.findings import fail
from havre.compose.loading import Loading
from havre.compose.template import TemplateError, substitute
from havre.compose.tree import Map
from havre.compose.yamltext import Document
from havre.errors import Location

DEFAULT_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDE_FILES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
_NAME_CHARACTERS = r"[a-z0-9_-]"

Parsed = tuple[str, list[Document]]


def discover_files(loading: Loading, directory: str) -> tuple[str, ...]:
    """The default Compose file of `directory` or of its nearest parent that has one, and its override."""
    while True:
        found = _first(loading, directory, DEFAULT_FILES)
        if found:
            override = _first(loading, directory, OVERRIDE_FILES)
            return (found, override) if override else (found,)
        parent = posixpath.dirname(directory)
        if parent == directory:
            return ()
        directory = parent


def files_from_environment(loading: Loading, environment: Environment, directory: str) -> tuple[str, ...]:
    """What COMPOSE_FILE names, relative to `directory`."""
    value = environment.get("COMPOSE_FILE")
    if not value:
        return ()
    separator = environment.get("COMPOSE_PATH_SEPARATOR") or ":"
    return tuple(loading.absolute(file, directory) for file in value.split(separator))


def no_files(directory: str) -> Exception:
    """The error for a directory without a Compose project."""
    return fail(
        "no configuration file provided: not found",
        hint=f"name the Compose file, or create one of {', '.join(DEFAULT_FILES)} in {directory}",
        code="no-compose-file",
    )


def default_env_files(loading: Loading, environment: Environment, directory: str) -> tuple[str, ...]:
    """The `.env` of the project directory, unless COMPOSE_DISABLE_ENV_FILE says no."""
    disabled = environment.get("COMPOSE_DISABLE_ENV_FILE")
    if disabled and _is_true(disabled):
        return ()
    default = posixpath.join(directory, ".env")
    return (default,) if loading.reader.is_file(default) else ()


def env_file_variables(loading: Loading, files: Sequence[str], environment: Environment) -> dict[str, Variable]:
    """The variables of the project's env files."""
    contents = [(loading.read(file), loading.shown(file)) for file in files]
    return read_variables(contents, environment, loading.findings)


def normal_name(name: str) -> str:
    """A text reduced to what a project may be called."""
    return "".join(re.findall(_NAME_CHARACTERS, name.lower())).lstrip("_-")


def project_name(loading: Loading, files: Sequence[Parsed], environment: Environment, given: str, default: str) -> str:
    """The name given by the caller, else the last `name:` of the files, else the default."""
    written = _name_in_files(files)
    name = given or _expanded(loading, written, environment) or ("" if written else default)
    if name != normal_name(name):
        raise fail(
            f'invalid project name "{name}": must consist only of lowercase alphanumeric characters, hyphens, and '
            "underscores as well as start with a letter or number",
            hint=f"for example `{normal_name(name) or 'my-project'}`",
            code="project-name",
        )
    return name


def _first(loading: Loading, directory: str, names: Sequence[str]) -> str:
    found = [name for name in names if loading.reader.is_file(posixpath.join(directory, name))]
    if len(found) > 1:
        loading.findings.warn(
            f"found several configuration files: {', '.join(found)}; using {found[0]}",
            hint="remove the others, or name the files to use",
            at=Location(loading.shown(posixpath.join(directory, found[0]))),
            code="several-files",
        )
    return posixpath.join(directory, found[0]) if found else ""


def _name_in_files(files: Sequence[Parsed]) -> str:
    name = ""
    for _, documents in files:
        for document in documents:
            value = document.root.get("name") if isinstance(document.root, Map) else None
            name = value if isinstance(value, str) and value else name
    return name


def _expanded(loading: Loading, name: str, environment: Environment) -> str:
    if not loading.switches.interpolates or "$" not in name:
        return normal_name(name)
    try:
        return normal_name(substitute(name, environment.get))
    except TemplateError:  # told, with its place, when the document is interpolated
        return ""


def _is_true(text: str) -> bool:
    return text in ("1", "t", "T", "true", "True", "TRUE")
