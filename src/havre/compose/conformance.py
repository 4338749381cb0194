"""The candidate program of the Compose conformance suite: one JSON case in, one JSON result out.

    python -m havre.compose.conformance            one case on stdin
    python -m havre.compose.conformance --stream   one case per line, one answer per line

It maps the suite's operations to the loader's phases and decides nothing itself.
"""

from __future__ import annotations

import json
import os
import posixpath
import sys
from collections.abc import Callable
from typing import Any

from havre.compose.canonical import pairs_as_mapping
from havre.compose.discovery import (
    default_env_files,
    discover_files,
    env_file_variables,
    files_from_environment,
    no_files,
    normal_name,
)
from havre.compose.environment import Environment, read_variables
from havre.compose.interpolate import Interpolation
from havre.compose.loading import Loading, Switches
from havre.compose.merge import Merger
from havre.compose.normalise import normalise
from havre.compose.project import LoadedProject, Plan, load_plan
from havre.compose.reader import DiskReader
from havre.compose.shapes import check
from havre.compose.shortforms import parse_hosts, parse_ports, parse_volume, split_command
from havre.compose.specification import DOCUMENT
from havre.compose.template import references, substitute
from havre.compose.tree import Map, Seq, drop, located, plain
from havre.compose.unique import enforce_unique
from havre.compose.units import parse_duration, parse_size
from havre.compose.values import text_pairs
from havre.compose.yamltext import parse_documents
from havre.errors import HavreError

Case = dict[str, Any]

_HOME = "/home/tester"


def main() -> None:
    """Answer one case, or all of a stream."""
    lines = sys.stdin if "--stream" in sys.argv else iter([sys.stdin.read()])
    for line in lines:
        if line.strip():
            sys.stdout.write(json.dumps(answer(json.loads(line)), default=str) + "\n")
            sys.stdout.flush()


def answer(case: Case) -> Case:
    """The result of one case; whatever is not a refusal of the loader is told as a crash."""
    operation = _OPERATIONS.get(case["op"])
    if operation is None:
        return {"ok": False, "unsupported": True, "error": case["op"]}
    here = posixpath.abspath("")
    try:
        os.chdir(case["input"].get("cwd") or here)
        return {"ok": True, **operation(case["input"])}
    except HavreError as error:
        return {"ok": False, "error": str(error)}
    except ValueError as error:
        return {"ok": False, "error": str(error), "crash": isinstance(error, UnicodeError | json.JSONDecodeError)}
    except Exception as error:  # noqa: BLE001 - the suite wants to know about every crash
        return {"ok": False, "crash": True, "error": f"{type(error).__name__}: {error}"}
    finally:
        os.chdir(here)


def _load(given: Case) -> Case:
    options = given.get("options") or {}
    directory = posixpath.abspath(given.get("working_dir") or ".")
    loading = _loading(directory, _switches(options))
    name = options.get("project_name") or ""
    is_imperative = bool(options.get("project_name_imperative"))
    plan = Plan(
        files=tuple(posixpath.abspath(file) for file in given["config_files"]),
        directory=directory,
        resolves_to=given.get("working_dir") or "",
        environment=Environment.of(given.get("env") or {}),
        given_name=name if is_imperative else "",
        default_name="" if is_imperative else name,
        profiles=tuple(options.get("profiles") or ()),
        services=tuple(options.get("selected_services") or ()),
        prunes=bool(options.get("prune")),
    )
    return _result(load_plan(loading, plan))


def _switches(options: Case) -> Switches:
    def is_on(option: str) -> bool:
        return not options.get(option)

    return Switches(
        validates=is_on("skip_validation"),
        interpolates=is_on("skip_interpolation"),
        normalises=is_on("skip_normalization"),
        checks_consistency=is_on("skip_consistency_check"),
        extends=is_on("skip_extends"),
        includes=is_on("skip_include"),
        resolves_environment=is_on("skip_resolve_environment"),
        sets_defaults=is_on("skip_default_values"),
        resolves_paths=is_on("no_resolve_paths"),
        keeps_env_files=is_on("discard_env_files"),
    )


def _project(given: Case) -> Case:
    is_cli = bool(given.get("compose_cli"))
    directory = given.get("project_directory") or ""
    files = tuple(posixpath.abspath(file) for file in given.get("config_files") or ())
    here = posixpath.abspath(directory or (posixpath.dirname(files[0]) if files else "."))
    switches = Switches(keeps_env_files=not (is_cli or given.get("discard_env_files")))
    loading = _loading(here, switches)
    environment = Environment.of({**(given.get("os_env") or {}), **(given.get("env") or {})})
    if is_cli or given.get("use_env_files") or given.get("env_files"):
        env_files = tuple(posixpath.abspath(file) for file in given.get("env_files") or ())
        env_files = env_files or default_env_files(loading, environment, here)
        if is_cli or given.get("use_dot_env"):
            environment = environment.below(env_file_variables(loading, env_files, environment))
    if not files and (is_cli or given.get("use_config_file_env")):
        files = files_from_environment(loading, environment, posixpath.abspath(""))
    if not files and (is_cli or given.get("use_default_config_path")):
        files = discover_files(loading, here)
    if not files:
        raise no_files(here)
    here = posixpath.abspath(directory or posixpath.dirname(files[0]))
    plan = Plan(
        files=files,
        directory=here,
        environment=environment,
        given_name=given.get("name") or environment.get("COMPOSE_PROJECT_NAME") or "",
        default_name=normal_name(posixpath.basename(here)),
        profiles=tuple(given.get("profiles") or (environment.get("COMPOSE_PROFILES") or "").split(",")),
    )
    return {**_result(load_plan(loading, plan)), "compose_files": list(files)}


def _result(project: LoadedProject) -> Case:
    return {"model": project.model, "disabled_services": list(project.disabled_services)}


def _loading(directory: str, switches: Switches | None = None) -> Loading:
    return Loading(reader=DiskReader(), base=directory, home=_HOME, switches=switches or Switches())


def _template(given: Case) -> Case:
    try:
        return {"model": substitute(given["template"], (given.get("env") or {}).get)}
    except Exception as error:
        raise ValueError(str(error)) from error


def _variables(given: Case) -> Case:
    found: Case = {}
    for text in _texts(given["dict"]):
        for one in references(text):
            found[one.name] = {
                "Name": one.name,
                "DefaultValue": one.argument if one.operator.endswith("-") else "",
                "PresenceValue": one.argument if one.operator.endswith("+") else "",
                "Required": one.operator.endswith("?"),
            }
    return {"model": found}


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in items for text in _texts(item)]


def _interpolate(given: Case) -> Case:
    loading = _loading(posixpath.abspath(""))
    root = located(given["dict"])
    Interpolation(Environment.of(given.get("env") or {}), loading.findings).apply(root)
    loading.findings.stop_on_errors()
    return {"model": plain(root)}


def _dotenv(given: Case) -> Case:
    loading = _loading(posixpath.abspath(""))
    contents = [(loading.read(posixpath.abspath(file)), file) for file in given["env_files"]]
    found = read_variables(contents, Environment.of(given.get("env") or {}), loading.findings)
    return {"model": {name: variable.value for name, variable in found.items()}}


def _merge(given: Case) -> Case:
    loading = _loading(posixpath.abspath(""))
    merged = Map()
    for text in given["docs"]:
        for document in parse_documents(text, "document", loading.sources, loading.findings):
            for path in document.resets:
                drop(merged, path)
            merged = Merger(loading.findings).documents(merged, document.root)
    enforce_unique(merged, loading.findings)
    loading.findings.stop_on_errors()
    return {"model": plain(merged)}


def _normalize(given: Case) -> Case:
    root = located(given["dict"])
    normalise(root, root.get("name", ""), Environment.of(given.get("env") or {}))
    return {"model": plain(root)}


def _schema(given: Case) -> Case:
    loading = _loading(posixpath.abspath(""))
    check(located(given["dict"]), DOCUMENT, loading.findings)
    loading.findings.stop_on_errors()
    return {"model": True}


def _pairs(value: Any) -> Any:
    tree = located(value)
    return pairs_as_mapping(tree) if isinstance(tree, Seq) else tree


def _project_name(given: Case) -> Case:
    return {"model": normal_name(given["spec"])}


_OPERATIONS: dict[str, Callable[[Case], Case]] = {
    "load": _load,
    "project": _project,
    "template": _template,
    "variables": _variables,
    "interpolate": _interpolate,
    "dotenv": _dotenv,
    "merge": _merge,
    "normalize": _normalize,
    "volume_short": lambda given: {"model": parse_volume(given["spec"])},
    "port_short": lambda given: {"model": parse_ports(given["spec"])},
    "bytes": lambda given: {"model": parse_size(given["value"])},
    "duration": lambda given: {"model": parse_duration(given["spec"])},
    "command": lambda given: {"model": split_command(given["spec"])},
    "extra_hosts": lambda given: {"model": parse_hosts(given["values"])},
    "mapping": lambda given: {"model": plain(_pairs(given.get("values", given.get("value"))))},
    "labels": lambda given: {"model": plain(text_pairs(located(given.get("value", given.get("values")))))},
    "schema": _schema,
    "project_name": _project_name,
}

if __name__ == "__main__":
    main()
