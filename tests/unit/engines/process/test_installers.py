"""The programs that install packages."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import uv

from havre.engines.process import installers


def test_services_that_are_prepared_side_by_side_look_for_uv_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def find() -> str:
        asked.append("asked")
        time.sleep(0.05)
        return f"/uv/{len(asked)}"

    monkeypatch.setattr(uv, "find_uv_bin", find)
    installers._uv_program.cache_clear()
    try:
        with ThreadPoolExecutor(4) as services:
            found = list(services.map(lambda _: installers.uv_program(), range(4)))
    finally:
        installers._uv_program.cache_clear()
    assert found == ["/uv/1"] * 4
