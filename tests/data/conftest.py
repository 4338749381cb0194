"""One deployed app for each test module, and fresh state where a test needs its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from data_stand import Stand


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """PostgreSQL and Redis, running."""
    made = Stand(tmp_path_factory.mktemp("stand"))
    try:
        made.deploy()
        yield made
    finally:
        made.tear_down()
