"""What holds for all tests: the same generated examples in every CI run, and a record of which tests really ran."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("local"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started with `&` by a script: children would be deaf to Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

RECORD = os.environ.get("HAVRE_TESTS_PASSED")
"""A file that gets the id of every test that passed: the row book is held against it."""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down what passed; with several workers this runs in the one process that hears of all."""
    if RECORD and report.when == "call" and report.passed and "PYTEST_XDIST_WORKER" not in os.environ:
        with Path(RECORD).open("a") as record:
            record.write(f"{report.nodeid}\n")
