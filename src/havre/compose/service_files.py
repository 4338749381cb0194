"""The env files and label files of services: what is in them ends up in `environment` and `labels`."""

from __future__ import annotations

from typing import Any

from havre.compose.environment import Environment, assignments
from havre.compose.loading import Loading
from havre.compose.template import Lookup
from havre.compose.tree import Map, Seq, put, spot_at, spot_base, spot_of


def resolve_env_files(loading: Loading, root: Map, environment: Environment) -> None:
    """Fill the environment of each service from its env files; what the Compose file sets itself wins."""
    for service in (root.get("services") or {}).values():
        own = service.get("environment")
        for name, value in own.items() if isinstance(own, Map) else ():
            if value is None:
                own[name] = environment.get(name)
        files = service.get("env_file")
        if isinstance(files, Seq) and files:
            _add_environment(loading, service, files, environment)
        if not loading.switches.keeps_env_files:
            service.pop("env_file", None)


def resolve_label_files(loading: Loading, root: Map, environment: Environment) -> None:
    """Fill the labels of each service from its label files; what the Compose file sets itself wins."""
    for service in (root.get("services") or {}).values():
        files = service.get("label_file")
        if not isinstance(files, Seq) or not files:
            continue
        found = Map()
        for index, path in enumerate(files):
            _add_file(loading, found, path, environment.get, spot_of(files, index), "", "label file")
        service["labels"] = _over(found, service.get("labels"))
        if not loading.switches.keeps_env_files:
            del service["label_file"]


def _add_environment(loading: Loading, service: Map, files: Seq, environment: Environment) -> None:
    found = Map()
    own = service.get("environment")

    def lookup(name: str) -> str | None:
        value = environment.get(name)
        return own.get(name) if value is None and isinstance(own, Map) else value

    for index, file in enumerate(files):
        spot = spot_of(file, "path") or spot_of(files, index)
        path = file["path"]
        if file.get("required", True) or loading.reader.is_file(path):
            _add_file(loading, found, path, lookup, spot, file.get("format") or "", "env file")
    service["environment"] = _over(found, own)


def _add_file(loading: Loading, found: Map, path: str, lookup: Lookup, spot: int, file_format: str, what: str) -> None:
    shown = loading.shown(path)
    if file_format not in ("", "raw"):
        hint = "leave `format` out, or write `raw`"
        loading.findings.error(f"unsupported env_file format {file_format}", hint=hint, spot=spot, code="env-format")
        return
    if not loading.reader.is_file(path):
        reason = "it is a directory" if loading.reader.is_dir(path) else "no such file or directory"
        optional = ", or write `required: false` beside its `path` if it may be absent" if what == "env file" else ""
        hint = f"create it, or correct the path{optional}"
        loading.findings.error(f"{what} {shown} not found: {reason}", hint=hint, spot=spot, code="env-file-missing")
        return
    source = loading.sources.add(shown)
    read = assignments(loading.read(path), shown, lookup, loading.findings, earlier=found.get, file_format=file_format)
    for one in read:
        place = spot_at(spot_base(source), one.line - 1, 0)
        put(found, one.name, one.value, place)


def _over(found: Map, own: Any) -> Map:
    for name, value in own.items() if isinstance(own, Map) else ():
        if value is None and found.get(name) is not None:
            continue
        put(found, name, value, spot_of(own, name))
    return found
