"""Records of volumes and networks, of which several commands and steps read and remove some at once."""

from __future__ import annotations

from pathlib import Path

from havre.engines.process.allocations import Allocations
from havre.engines.process.volumes import Networks, Volumes
from havre.model.project import Network, Volume


def test_a_network_that_another_step_removes_meanwhile_is_no_more(tmp_path: Path) -> None:
    networks = Networks(tmp_path, Allocations(tmp_path))
    for name in ("one", "two"):
        networks.create(Network(key=name, name=name), "shop")
    listed = networks.listed()
    assert next(listed).name == "one"
    networks.remove("two", "shop")
    assert list(listed) == []


def test_a_volume_that_another_step_removes_meanwhile_is_no_more(tmp_path: Path) -> None:
    volumes = Volumes(tmp_path)
    for name in ("one", "two"):
        volumes.create(Volume(key=name, name=name), "shop")
    listed = volumes.listed()
    assert next(listed).name == "one"
    volumes.remove("two")
    assert list(listed) == []
