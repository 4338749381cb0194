"""havre.yaml to an App, in one environment: every problem is found at once, each with its line and column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from havre.compose.findings import Findings, closest, fail
from havre.compose.reader import DiskReader, Reader
from havre.compose.tree import Map, Sources, dotted, spot_at, spot_base, spot_of
from havre.compose.tree import Path as TreePath
from havre.compose.yamltext import parse_documents
from havre.errors import Location
from havre.manifest.keys import MANIFEST
from havre.manifest.lower import lower
from havre.manifest.merge import overlay
from havre.manifest.rules import check_rules
from havre.manifest.validate import Reading
from havre.model.app import App

FILE = "havre.yaml"
PRODUCTION = "production"


def load_app(path: str | Path, *, environment: str = PRODUCTION, reader: Reader | None = None) -> App:
    """The app of a manifest file (or of the directory that holds it); raises InputError with all problems."""
    reader = reader or DiskReader()
    if reader.is_dir(str(path)):
        path = Path(path) / FILE
    if not reader.is_file(str(path)):
        raise fail(
            f"there is no {path}",
            hint="run `havre init` to write a first one from the Compose files",
            at=Location(str(path)),
            code="manifest-absent",
        )
    directory = str(Path(path).absolute().parent)
    return parse_app(reader.read(str(path), str(path)), name=str(path), directory=directory, environment=environment)


def parse_app(text: str | bytes, *, name: str = FILE, directory: str = ".", environment: str = PRODUCTION) -> App:
    """The app of a manifest's text; `directory` is what its paths are relative to."""
    findings = Findings(Sources())
    root = _document(text, name, findings)
    top = spot_at(spot_base(1), 0, 0)
    Reading(findings, partial=True).value(MANIFEST, root, (), top)
    merged = _in_environment(root, environment, findings, name)
    values = _read_merged(merged, findings, top)
    check_rules(values, merged, findings)
    findings.stop_on_errors()
    app = lower(values, directory=directory, environment=environment)
    return replace(app, places=tuple(_places(merged, findings.sources)))


def _document(text: str | bytes, name: str, findings: Findings) -> Map:
    documents = parse_documents(text, name, findings.sources, findings)
    findings.stop_on_errors()
    if len(documents) == 1 and isinstance(documents[0].root, Map):
        return documents[0].root
    raise fail(
        f"{name} is empty" if not documents else f"{name} must be one mapping of keys to values",
        hint="its first line is `app: NAME`; `havre init` writes a first one",
        at=Location(name),
        code="manifest-empty",
    )


def _in_environment(root: Map, environment: str, findings: Findings, name: str) -> Map:
    environments = root.get("environments")
    known = environments if isinstance(environments, Map) else Map()
    if environment not in known and environment != PRODUCTION:
        known_names = sorted({PRODUCTION, *known})
        findings.errors.append(
            fail(
                f"there is no environment `{environment}`",
                hint=closest(environment, known_names)
                or f"there is {', '.join(known_names)}; declare another one under `environments:` in havre.yaml",
                at=findings.sources.location(root.at.get("environments", 0)) or Location(name),
                code="manifest-environment",
            ).problems[0]
        )
    base = Map({key: value for key, value in root.items() if key != "environments"}, root.at)
    over = known.get(environment)
    return overlay(base, over) if isinstance(over, Map) else base


def _read_merged(merged: Map, findings: Findings, top: int) -> dict[str, Any]:
    """Read what the environment makes of it; what was already found in the file as written is not told twice."""
    again = Findings(findings.sources)
    values: dict[str, Any] = Reading(again).value(MANIFEST, merged, (), top)
    told = {(problem.at, problem.summary) for problem in findings.errors}
    findings.errors += [problem for problem in again.errors if (problem.at, problem.summary) not in told]
    return values


def _places(value: Any, sources: Sources, path: TreePath = ()) -> Iterator[tuple[str, Location]]:
    """Where each key, and each item of a list, was written: checks look these up."""
    for key in value if isinstance(value, dict) else range(len(value)):
        at = sources.location(spot_of(value, key))
        if at:
            yield dotted((*path, key)), at
        if isinstance(value[key], dict | list):
            yield from _places(value[key], sources, (*path, key))
