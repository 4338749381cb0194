"""Which engine the doctor holds against what starts at boot."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from havre.workflows.doctor import is_system_wide


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        (SimpleNamespace(host="unix:///var/run/docker.sock"), True),
        (SimpleNamespace(host="unix:///run/user/1000/docker.sock"), False),
        (SimpleNamespace(host="tcp://10.0.0.5:2376"), False),
        (SimpleNamespace(name="process"), False),
    ],
)
def test_only_the_engine_of_the_whole_system_is_started_by_docker_service(engine: Any, expected: bool) -> None:
    assert is_system_wide(cast("Any", engine)) is expected
