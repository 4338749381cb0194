"""Looks on in what is left of a document in which something is wrong, so that one run tells every problem of a file."""

from __future__ import annotations

from itertools import takewhile

from havre.compose.canonical import Expander
from havre.compose.consistency import check_values
from havre.compose.findings import Findings
from havre.compose.tree import Map, Path, clone, drop
from havre.compose.values import convert_values


def stop_with_all(root: Map, findings: Findings) -> None:
    """End the load when something is wrong; before that, find what is wrong with the rest of the document.

    Short forms, single values and units are looked at where nothing was wrong so far. Whether parts fit together
    is not: what was taken out would be missed.
    """
    if not findings.errors:
        return
    if all(findings.paths):
        rest = clone(root)
        for path in tuple(findings.paths):
            _cut(rest, path)
        Expander(findings).expand(rest)
        check_values(rest, findings)
        convert_values(rest, findings)
    findings.stop_on_errors()


def _cut(root: Map, path: Path) -> None:
    """Take out the entry at `path`; of a list, the whole list, because the other entries would change their numbers."""
    drop(root, tuple(takewhile(lambda step: isinstance(step, str), path)))
