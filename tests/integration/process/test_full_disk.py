"""A disk that fills up in the middle of a build: told in words, given back, and nothing else is lost."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import run_havre
from ending import end_helpers
from small_disk import small_disk

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system"),
]

COMPOSE = """\
services:
  calm: {build: ./src, stop_grace_period: 0s}
  greedy: {build: ./src, stop_grace_period: 0s}
"""
MANIFEST = """\
app: shop
engine: process
processes:
  calm: {command: sleep 1000, build: sleep 1; echo made > made}
  greedy: {command: sleep 1000, build: "BUILD"}
"""
FILLS = "cat /dev/zero > big || { sleep 2; exit 1; }"
"""It holds the full disk for a while, in which the other build and the journal go on."""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "file").write_text("x")
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    with small_disk(tmp_path / "state", "600m") as state:
        (state / "server.yaml").write_text("http_port: 32490\nhttps_port: 0\nbind: [127.0.0.1]\n")
        yield tmp_path
        run_havre(tmp_path, "down", "-y", check=False)
        end_helpers(state)


def test_a_build_that_fills_the_disk_is_undone_and_the_next_deploy_works(shop: Path) -> None:
    (shop / "havre.yaml").write_text(MANIFEST.replace("BUILD", FILLS))
    full = run_havre(shop, "deploy", "-y", check=False, columns=400)
    said = full.stdout + full.stderr
    assert full.returncode == 1, said
    assert "No space left on device" in said
    assert "Traceback" not in said
    assert "`df -h" in said, "whichever met the full disk first, the build or the journal, names the disk"
    assert shutil.disk_usage(shop / "state").used < 20 * 1024**2, "the half-made build is gone again"
    failed = json.loads(run_havre(shop, "releases", "--json").stdout)[0]
    assert failed["state"] == "failed"
    (shop / "havre.yaml").write_text(MANIFEST.replace("BUILD", "true"))
    assert "serves" in run_havre(shop, "deploy", "-y").stdout


def test_a_build_that_alone_fills_the_disk_names_it_with_the_way_to_room(shop: Path) -> None:
    (shop / "compose.yaml").write_text("services: {greedy: {build: ./src}}")
    (shop / "havre.yaml").write_text(
        'app: shop\nengine: process\nprocesses: {greedy: {command: sleep 9, build: "cat /dev/zero > big"}}\n'
    )
    said = run_havre(shop, "deploy", "-y", check=False, columns=400).stderr
    assert "`cat /dev/zero > big` failed with exit code 1" in said
    assert f"`df -h {shop}/state/process/images` shows the disk" in said, said
