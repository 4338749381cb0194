"""The Compose Specification in Python: any Compose project to its normal form, with located errors.

    from havre.compose import LoadRequest, load_project

    project = load_project(LoadRequest(working_dir="shop", environment=dict(os.environ)))
    project.model["services"]["web"]["image"]
    project.origin("services.web.image").location      # shop/compose.yaml:4:5

The loader reads files and nothing else: it executes nothing and contacts nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from havre.compose.project import LoadedProject, LoadRequest, load_project
    from havre.compose.reader import DiskReader, Reader
    from havre.compose.tree import Origin, VariableUse

__all__ = ["DiskReader", "LoadRequest", "LoadedProject", "Origin", "Reader", "VariableUse", "load_project"]

_HOMES = {
    "DiskReader": "reader",
    "LoadRequest": "project",
    "LoadedProject": "project",
    "Origin": "tree",
    "Reader": "reader",
    "VariableUse": "tree",
    "load_project": "project",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import havre.compose` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
