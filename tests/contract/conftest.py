"""Every engine under contract gets a fresh instance for each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_bench import BENCHES, World

from havre.model.plan import CreateNetwork

_MARKS = {"docker": pytest.mark.docker, "process": pytest.mark.process}
_numbers = itertools.count(1)


@pytest.fixture(params=[pytest.param(name, marks=_MARKS.get(name, ())) for name in BENCHES])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A fresh instance with its network, removed after the test."""
    made = World(BENCHES[request.param](tmp_path), f"contract{os.getpid()}-{next(_numbers)}")
    made.engine.perform(CreateNetwork(network=made.network), made.context())
    try:
        yield made
    finally:
        made.tear_down()
