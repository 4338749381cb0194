"""A shop in which all is well, for a test to break."""

from __future__ import annotations

import pytest
from diagnosed_shop import Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()
