"""End what Havre itself keeps running for a test: the edge, which starts itself again when killed, and supervisors."""

from __future__ import annotations

from pathlib import Path

from havre.cli.edge import edge_for
from havre.engines.process.engine import ProcessEngine
from havre.store.state import State


def end_helpers(directory: Path) -> None:
    """Of the state directory `directory`; nothing happens where nothing ran."""
    state = State(directory)
    if state.edge.is_dir():
        edge_for(state).stop()
    if state.processes.is_dir():
        ProcessEngine(state.processes).shut_down()
