"""Usage from two readings."""

from __future__ import annotations

from havre.engines.base import Usage
from havre.engines.docker.usage import measured

BEFORE = {"read": "2026-11-20T22:00:00.000000000Z", "cpu_stats": {"cpu_usage": {"total_usage": 1_000_000_000}}}


def after(**memory: object) -> dict[str, object]:
    return {
        "read": "2026-11-20T22:00:00.500000000Z",
        "cpu_stats": {"cpu_usage": {"total_usage": 1_750_000_000}},
        "memory_stats": memory,
    }


def test_cpu_is_a_share_of_one_core_and_memory_has_no_cache_that_could_be_dropped() -> None:
    reading = after(usage=100, limit=1000, max_usage=150, stats={"total_inactive_file": 30, "inactive_file": 1})

    assert measured("web", 1, BEFORE, reading) == Usage(
        service="web", slot=1, memory=70, memory_limit=1000, memory_peak=150, cpu=150.0
    )


def test_cgroup_2_has_no_peak() -> None:
    used = measured("web", 1, BEFORE, after(usage=100, limit=1000, stats={"inactive_file": 30}))

    assert (used.memory, used.memory_peak) == (70, None)


def test_what_is_not_known_is_none() -> None:
    used = measured("web", 1, BEFORE, {"read": BEFORE["read"], "memory_stats": {}})

    assert (used.memory, used.memory_limit, used.cpu) == (None, None, None)
