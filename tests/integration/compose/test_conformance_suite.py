"""The conformance suite recorded from the reference implementation, run through the candidate program.

It lies beside the checkout (`../shared`), not in it; where it is absent these tests say so and are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

SUITE = Path(__file__).resolve().parents[3] / ".." / "shared" / "conformance" / "compose"

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not SUITE.is_dir(), reason=f"the conformance suite is not at {SUITE}"),
]


def run(report: Path, *options: str) -> list[dict[str, Any]]:
    """The outcome of every case."""
    candidate = [sys.executable, "-m", "havre.compose.conformance", "--stream"]
    command = [sys.executable, str(SUITE / "run_suite.py"), "--stream", "--jobs", "1", "--report", str(report)]
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([*command, *options, "--", *candidate], capture_output=True, text=True, env=environment)
    assert done.returncode in (0, 1), done.stderr
    outcomes: list[dict[str, Any]] = json.loads(report.read_text())
    return outcomes


def passed(outcomes: list[dict[str, Any]], *categories: str) -> float:
    """The share of cases that pass, in percent; the failures are printed."""
    chosen = [one for one in outcomes if any(fnmatch(one["category"], pattern) for pattern in categories or ("*",))]
    good = [one for one in chosen if one["status"] == "pass"]
    for one in chosen:
        if one["status"] != "pass":
            print(f"{one['status']} {one['id']}: {'; '.join(one['details'])[:200]}")
    print(f"{' '.join(categories) or 'all'}: {len(good)} of {len(chosen)} cases pass")
    return 100 * len(good) / len(chosen)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run(tmp_path_factory.mktemp("suite") / "report.json")


def test_whole_projects_load_as_docker_compose_loads_them(
    outcomes: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print()
        rate = passed(outcomes, "full-*", "realworld")
    assert rate >= 98


def test_all_operations_agree_with_the_reference(
    outcomes: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print()
        rate = passed(outcomes)
    assert rate >= 98
    assert not [one["id"] for one in outcomes if one["status"] in ("crash", "unsupported")]


def test_public_files_load_as_docker_compose_loads_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(tmp_path / "report.json", "--cases", str(SUITE / "realworld-half.jsonl"))
    with capsys.disabled():
        print()
        rate = passed(found)
    assert rate >= 99
