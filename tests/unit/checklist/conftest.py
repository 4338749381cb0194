"""The line of one item of the checklist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from launch_scene import MANIFEST, scene

from havre.checks.launch import ITEMS, Line, judge


@pytest.fixture
def line() -> Callable[..., Line]:
    """The line of one item in a scene that is good but for what is changed."""

    def of(item: str, manifest: str = MANIFEST, **changed: Any) -> Line:
        return next(one for one in judge(scene(manifest, **changed), ITEMS).lines if one.item.id == item)

    return of
