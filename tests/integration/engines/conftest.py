"""A throw-away instance on the Docker Engine for each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_stage import Stage

from havre.engines.docker.engine import DockerEngine
from havre.model.plan import CreateNetwork
from havre.model.project import Network

_numbers = itertools.count(1)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A fresh instance with a network, removed after the test."""
    instance = f"it{os.getpid()}-{next(_numbers)}"
    network = Network(key="default", name=f"{instance}_default")
    made = Stage(DockerEngine(config=tmp_path / "docker-config"), instance, networks=(network,))
    made.do(CreateNetwork(network=network))
    try:
        yield made
    finally:
        made.tear_down()
