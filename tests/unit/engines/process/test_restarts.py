"""When a replica comes back, and after how long."""

from __future__ import annotations

import pytest

from havre.engines.process.restarts import LONGEST_PAUSE, pause_before_restart


@pytest.mark.parametrize(
    ("policy", "code", "comes_back"),
    [
        ("no", 1, False),
        ("no", 0, False),
        ("always", 0, True),
        ("unless-stopped", 137, True),
        ("on-failure", 0, False),
        ("on-failure", 3, True),
        ("on-failure", None, True),
    ],
)
def test_policy_decides_whether_it_comes_back(policy: str, code: int | None, comes_back: bool) -> None:
    assert (pause_before_restart(policy, 0, exit_code=code, failures=0) is not None) == comes_back


def test_pauses_double_up_to_a_minute() -> None:
    pauses = [pause_before_restart("always", 0, exit_code=1, failures=count) for count in range(12)]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == LONGEST_PAUSE


def test_very_many_failures_are_no_overflow() -> None:
    assert pause_before_restart("always", 0, exit_code=1, failures=10**6) == LONGEST_PAUSE


def test_on_failure_gives_up_after_its_attempts() -> None:
    assert pause_before_restart("on-failure", 3, exit_code=1, failures=2) is not None
    assert pause_before_restart("on-failure", 3, exit_code=1, failures=3) is None
