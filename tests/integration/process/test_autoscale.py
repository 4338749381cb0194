"""`havre scale --auto`: a busy service gets a replica, an idle one gives it back, and a deploy keeps the number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import run_havre
from ending import end_helpers

from havre.workflows.demo import free_port

pytestmark = pytest.mark.process

COMPOSE = """\
services:
  api:
    build: {context: src}
    command: sh work.sh
    volumes: ["./orders:/orders:ro"]
    deploy: {resources: {limits: {cpus: "0.2", memory: 64M}}}
"""
WORK = """\
while true; do
  [ -e /orders/busy ] || { sleep 0.05; continue; }
  i=0
  while [ $i -lt 20000 ]; do i=$((i+1)); done
done
"""


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A deployed service that works as hard as it may while `orders/busy` is there."""
    directory = tmp_path_factory.mktemp("autoscale") / "shop"
    for path, text in {
        "src/work.sh": WORK,
        "compose.yaml": COMPOSE,
        "havre.yaml": "app: shop\nengine: process\nautoscale: {api: {max: 3, cpu: 70, memory: 80}}\n",
        "state/server.yaml": f"http_port: {free_port(29700)}\nhttps_port: 0\nbind: [127.0.0.1]\n",
        "orders/busy": "",
    }.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    directory.chmod(0o755)
    try:
        run_havre(directory, "deploy", "-y")
        yield directory
    finally:
        run_havre(directory, "down", "-y", check=False)
        end_helpers(directory / "state")


def _replicas(directory: Path) -> int:
    listed = json.loads(run_havre(directory, "ps", "-q", "--json").stdout)["replicas"]
    return sum(one["state"] == "running" for one in listed)


def test_the_load_decides_how_many_run_and_a_deploy_keeps_them(busy: Path) -> None:
    told = run_havre(busy, "scale", "--auto", "-y").stdout
    assert "% cpu, target 70%: 2 wanted" in " ".join(told.split())
    assert _replicas(busy) == 2
    assert "nothing to do" in run_havre(busy, "deploy", "-y").stdout

    (busy / "orders" / "busy").unlink()
    run_havre(busy, "scale", "--auto", "-y")
    assert _replicas(busy) == 1
    assert "enough" in run_havre(busy, "scale", "--auto", "-y").stdout
    timers = run_havre(busy, "export", "cron").stdout
    assert "* * * * * " in timers
    assert "scale --auto --yes" in timers
