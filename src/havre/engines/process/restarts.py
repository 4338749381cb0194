"""When a replica that ended is started again: Docker's own rules, with its back-off."""

from __future__ import annotations

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 60.0
STEADY_AFTER = 10.0
"""A replica that ran this long (seconds) begins its back-off anew."""


def pause_before_restart(policy: str, attempts: int, *, exit_code: int | None, failures: int) -> float | None:
    """Seconds to wait before starting it again, or None: it stays as it is.

    `failures` counts the ends in a row that came before the replica was steady, without this one. An unknown exit
    code (the supervisor was not there to see it) counts as a failure.
    """
    if policy == "no" or (policy == "on-failure" and exit_code == 0):
        return None
    if policy == "on-failure" and attempts and failures >= attempts:
        return None
    return min(FIRST_PAUSE * 2.0 ** min(failures, 20), LONGEST_PAUSE)
