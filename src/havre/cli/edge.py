"""Construct this server's edge with this server's settings."""

from __future__ import annotations

import os

from havre.edge.haproxy import Edge
from havre.edge.runner import ProcessRunner
from havre.store.state import State
from havre.workflows.settings import read_settings


def edge_for(state: State) -> Edge:
    """The one edge of this server."""
    settings = read_settings(state.directory).edge(is_root=os.geteuid() == 0)
    return Edge(state.edge, ProcessRunner(), settings)
