"""Everything again as a user who may do nothing special, on the system's own Python."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from unprivileged import SYSTEM_PYTHON, needs_root

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[3]


def bring_source(place: Path) -> dict[str, str]:
    """A copy of our source that nobody can read, with a home of their own; the environment to run it in."""
    site = Path(msgspec.__file__).parents[1]
    home = place / "home"
    home.mkdir()
    shutil.copytree(ROOT / "src", place / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests" / "integration" / "process", place / "tests" / "integration" / "process")
    for path in (place, home):
        os.chown(path, 65534, 65534)
    return {
        **{name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "UV_"))},
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "PYTHONPATH": f"{place}/src:{place}:{site}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _as_nobody(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the other tests of this directory as `nobody`."""
    environment = bring_source(place)
    home = place / "home"
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", SYSTEM_PYTHON, "-m", "pytest", "-q", "-x"]
    options = ["-p", "no:cacheprovider", "-W", "ignore::pytest.PytestUnknownMarkWarning", f"--basetemp={home}/pytest"]
    return subprocess.run(
        [*argv, *options, *arguments],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@needs_root
@pytest.mark.slow
def test_replicas_as_nobody(place: Path) -> None:
    done = _as_nobody(place, "tests/integration/process/test_replicas.py", "-k", "not usage")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


@needs_root
@pytest.mark.slow
def test_servers_as_nobody(place: Path) -> None:
    done = _as_nobody(
        place,
        "tests/integration/process/test_servers.py",
        "-k",
        "views and (contract or flags) or killed or each_other",
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
