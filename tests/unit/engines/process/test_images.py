"""Prepared images: what a reference means, and which ones go."""

from __future__ import annotations

from pathlib import Path

from havre.engines.process.cgroups import Limits, _settings
from havre.engines.process.images import Image, Images


def _kept(images: Images, number: int, *, owner: str = "shop/web", caches: tuple[str, ...] = ()) -> Image:
    image = Image(id=f"source-{owner[-3:]}{number}", owner=owner, created=float(number), caches=caches)
    images.source(image.id).mkdir(parents=True)
    images.keep(image, reference="shop_web")
    return image


def test_a_reference_means_what_was_kept_last_and_ids_stay_known(tmp_path: Path) -> None:
    images = Images(tmp_path)
    first, second = _kept(images, 1), _kept(images, 2)
    assert images.find("shop_web") == second
    assert images.find(first.id) == first
    assert images.find("other") is None
    assert images.find("registry:5000/x") is None


def test_a_removed_image_is_gone_and_its_dependencies_are_used_by_nobody(tmp_path: Path) -> None:
    images = Images(tmp_path)
    first, second = _kept(images, 1, caches=("/c/a",)), _kept(images, 2, caches=("/c/b",))
    images.remove(first.id)
    assert [image.id for image in images.all()] == [second.id]
    assert images.used_caches() == {"/c/b"}


def test_limits_as_either_kind_of_control_group_writes_them() -> None:
    limits = Limits(memory=1024, cpus=0.5, pids=7)
    found = {kind: dict(_settings(kind, limits, unified=True)) for kind in ("memory", "cpus", "pids")}
    assert found == {"memory": {"memory.max": "1024"}, "cpus": {"cpu.max": "50000 100000"}, "pids": {"pids.max": "7"}}
    assert dict(_settings("cpus", limits, unified=False)) == {
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "50000",
    }
    assert limits.names == ("memory", "cpus", "pids")
