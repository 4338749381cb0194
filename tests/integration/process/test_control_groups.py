"""Limits by control groups of version 2, in a hierarchy of its own where this machine has only version 1."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from havre.engines.process import client, proctable
from havre.engines.process.engine import ProcessEngine

pytestmark = pytest.mark.process

NOBODY = 65534
SOURCE = Path(proctable.__file__).parents[3]

DIVIDE = """
import os, signal, sys, time
from havre.engines.process import cgroups
cgroups.CONTROLLERS = (("memory", sys.argv[1]),)
parents = cgroups.usable_parents("ab-12")
groups = cgroups.Groups(parents)
print("parent", parents.get("memory"))
print("unenforced", groups.make("shop_web.1", cgroups.Limits(pids=4)))
child = os.fork()
if child == 0:
    groups.join("shop_web.1")
    time.sleep(60)
deadline = time.monotonic() + 5
while child not in groups.members("shop_web.1") and time.monotonic() < deadline and parents:
    time.sleep(0.02)
print("inside", child in groups.members("shop_web.1"))
print("own", open("/proc/self/cgroup").read().rpartition("0::")[2].strip())
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
groups.remove("shop_web.1")
print("left", os.path.exists(f"{parents.get('memory')}/shop_web.1"))
"""


def _controllers(hierarchy: Path) -> list[str]:
    path = hierarchy / "cgroup.controllers"
    return path.read_text().split() if path.exists() else []


@pytest.fixture
def delegated() -> Iterator[tuple[Path, str]]:
    """A group given to somebody without rights, with a controller, and that controller's name."""
    hierarchy = next((p for p in map(Path, ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")) if _controllers(p)), None)
    if os.geteuid() != 0 or hierarchy is None:
        pytest.skip("needs root and a version 2 hierarchy with a controller")
    controller = _controllers(hierarchy)[-1]
    group = hierarchy / f"havre-test-{os.getpid()}"
    group.mkdir()
    (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}")
    for path in (group, group / "cgroup.procs", group / "cgroup.subtree_control"):
        os.chown(path, NOBODY, NOBODY)
    yield group, controller
    for path in sorted(group.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
    group.rmdir()


def _divide(script: str, group: Path, controller: str, *, inside: bool) -> dict[str, str]:
    """Run it as nobody with version 2 where systemd mounts it; `inside` the group that is nobody's own."""
    enter = f"echo $$ > {group}/cgroup.procs; " if inside else ""
    mounted = group.parent
    line = f'{enter}mount --bind {mounted} /sys/fs/cgroup 2>/dev/null; exec "$@"'
    argv = ["unshare", "-m", "sh", "-c", line, "sh", "setpriv", f"--reuid={NOBODY}", "--clear-groups", sys.executable]
    environment = {"PYTHONPATH": str(SOURCE), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [*argv, "-c", script, controller], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def test_a_group_left_to_a_user_is_divided_among_their_replicas(delegated: tuple[Path, str]) -> None:
    group, controller = delegated
    told = _divide(DIVIDE, group, controller, inside=True)
    assert told["parent"] == f"/sys/fs/cgroup/{group.name}/havre/ab-12"
    assert told["own"] == f"/{group.name}/havre-supervisor", "a group that hands controllers down holds no process"
    assert (told["inside"], told["left"]) == ("True", "False")


def test_without_such_a_group_what_is_not_enforced_has_a_name(delegated: tuple[Path, str]) -> None:
    group, controller = delegated
    told = _divide(DIVIDE, group, controller, inside=False)
    assert (told["parent"], told["unenforced"]) == ("None", "('pids',)")


def test_a_scope_that_systemd_refuses_keeps_nobody_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_in_a_scope", lambda: ("/bin/false",))
    engine = ProcessEngine(tmp_path / "state")
    try:
        assert "process engine in" in engine.describe()
    finally:
        engine.shut_down()
