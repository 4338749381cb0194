"""One shop, deployed once for all tests of a file: each test leaves it as it found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from launched_shop import LaunchedShop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaunchedShop]:
    """It serves, with everything in order that is not about people."""
    shop = LaunchedShop(tmp_path_factory.mktemp("launch"))
    try:
        shop.havre("secrets", "import", ".env")
        (shop.directory / ".env").unlink()
        shop.havre("deploy", "-y", "--engine", "docker")
        shop.sql("CREATE TABLE workspaces (id int)", "ALTER TABLE workspaces ENABLE ROW LEVEL SECURITY")
        yield shop
    finally:
        shop.tear_down()
