"""A kernel that gives users no namespaces: the reason is told, and everything runs without private views."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.integration.process.test_unprivileged import bring_source
from unprivileged import SYSTEM_PYTHON, needs_root

pytestmark = pytest.mark.process

FORBIDDEN = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps=-all --inh-caps=-all "$@"'
"""In a user namespace of one's own that rule can be set for oneself alone."""

STORY = """
import json, sys, time
from pathlib import Path
from tests.integration.process.conftest import Stage, take_down
from havre.engines.process.engine import ProcessEngine
place = Path(sys.argv[1])
stage = Stage(engine=ProcessEngine(place / "state"), directory=place)
try:
    web = stage.web(environment=(("BACKEND", "http://web:8000"),))
    stage.start(web)
    state = stage.wait(web).state.value
    seen = stage.engine.execute("shop", "web", 1, ["printenv", "BACKEND", "HOST"]).output.split()
    print(json.dumps({"state": state, "seen": seen, "said": stage.said, "engine": stage.engine.describe()}))
finally:
    take_down(stage.engine)
"""


@needs_root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_the_reason_is_told_and_names_become_addresses(place: Path) -> None:
    environment = bring_source(place)
    person = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    world = ["unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", FORBIDDEN, "sh"]
    done = subprocess.run(
        [*person, *world, SYSTEM_PYTHON, "-c", STORY, str(place / "home")],
        cwd=place, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["state"] == "healthy"
    backend, host = told["seen"]
    assert backend == f"http://{host}:8000", "no hosts file of its own: the address stands where the name was"
    assert "user.max_user_namespaces is 0" in told["engine"]
    assert sum("no private file systems here" in line for line in told["said"]) == 1
