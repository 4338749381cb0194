"""Looks on in what is left of a document in which something is wrong, so that one run tells every problem of a file."""

from __future__ import annotations

from itertools import takewhile

from havre.compose.canonical import Expander
from havre.compose.consistency import check_references, check_values
from havre.compose.findings import Findings
from havre.compose.tree import Map, Path, clone, drop
from havre.compose.values import convert_values

_SECTIONS = ("services", "networks", "volumes", "secrets", "configs", "models")


def stop_with_all(root: Map, findings: Findings, *, is_whole: bool) -> None:
    """End a load in which something is wrong; before that, find what is wrong with the rest of the document.

    Short forms, single values and units are looked at where nothing was wrong so far, and in the whole project,
    to which no further file adds anything, the names that services use.
    """
    rest = clone(root)
    for path in tuple(findings.paths):
        _cut(rest, path)
    Expander(findings).expand(rest)
    check_values(rest, findings)
    convert_values(rest, findings)
    if is_whole:
        check_references(rest, _declared(root), findings)
    findings.stop_on_errors()


def stop_with_references(root: Map, findings: Findings) -> None:
    """End a load in which values of the whole project are wrong; before that, find the names that are wrong too."""
    check_references(root, _declared(root), findings)
    findings.stop_on_errors()


def _declared(root: Map) -> Map:
    """Every name that stands for something, whether what it stands for is right or not."""
    found = Map({name: Map(root[name]) for name in _SECTIONS if isinstance(root.get(name), Map)})
    found.setdefault("networks", Map()).setdefault("default", Map())
    return found


def _cut(root: Map, path: Path) -> None:
    """Take out the entry at `path`; of a list, the whole list, because the other entries would change their numbers."""
    drop(root, tuple(takewhile(lambda step: isinstance(step, str), path)))
