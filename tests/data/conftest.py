"""One deployed app for each test module, and fresh state where a test needs its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from data_stand import Stand
from pitr_stand import MANIFEST, deployed, tear_down


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """PostgreSQL and Redis, running."""
    made = Stand(tmp_path_factory.mktemp("stand"))
    try:
        made.deploy()
        yield made
    finally:
        made.tear_down()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Stand]]:
    """A database of a test's own, of another image or manifest where asked."""
    made: list[Stand] = []

    def stand(image: str = "postgres:15-alpine", manifest: str = MANIFEST) -> Stand:
        made.append(deployed(tmp_path / f"stand{len(made)}", image, manifest))
        return made[-1]

    yield stand
    for one in made:
        tear_down(one)
