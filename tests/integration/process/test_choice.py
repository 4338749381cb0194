"""Where no Docker Engine answers the process engine is taken, and that is said; a word of the user's is silent."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from command import HAVRE, environment

pytestmark = pytest.mark.process


def _plan(app: Path, *more: str) -> subprocess.CompletedProcess[str]:
    variables = {**environment(app), "DOCKER_HOST": f"unix://{app}/nobody.sock"}
    argv = [*HAVRE, "plan", *more]
    return subprocess.run(argv, cwd=app, env=variables, capture_output=True, text=True, timeout=60, check=False)


def test_the_engine_that_was_taken_is_named(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "Procfile").write_text("web: python3 -m http.server --bind $HOST $PORT\n")
    (tmp_path / "compose.yaml").write_text("services: {web: {build: ./web, expose: ['8000']}}\n")
    said = _plan(tmp_path)
    assert said.returncode == 0, said.stderr
    assert "no Docker Engine answers here" in " ".join(said.stderr.split())
    assert "Docker" not in _plan(tmp_path, "--engine", "process").stderr
    assert json.loads(_plan(tmp_path, "--json").stdout)["steps"]
