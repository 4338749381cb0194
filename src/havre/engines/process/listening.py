"""Let programs from source that listen on every address listen on their replica's own, so that two can run at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from havre.host.files import write_atomic

_INSIDE = Path(__file__).parent / "inside"
_PYTHON, _NODE = "sitecustomize.py", "own_address.cjs"
_BETWEEN = {"PYTHONPATH": ":", "NODE_OPTIONS": " "}
"""What stands between the parts of these variables."""


def listen_at_own_address(directory: Path) -> tuple[tuple[str, str], ...]:
    """The variables that make Python and Node do so, by files that are put into `directory`."""
    for name in (_PYTHON, _NODE):
        write_atomic(directory / name, (_INSIDE / name).read_bytes(), mode=0o644)
    return (("PYTHONPATH", str(directory)), ("NODE_OPTIONS", f'--require "{directory / _NODE}"'))


def put_ahead(own: Iterable[tuple[str, str]], variables: Mapping[str, str]) -> dict[str, str]:
    """The variables, each of `own` before what they say of it already."""
    ahead = {name: f"{value}{_BETWEEN[name]}{said}" if (said := variables.get(name)) else value for name, value in own}
    return {**variables, **ahead}
