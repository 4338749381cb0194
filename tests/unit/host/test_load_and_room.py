"""The load of a machine, full file systems and sizes, read from files as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

from havre.host.busy import Owner, measure
from havre.host.filling import full_file_systems
from havre.host.sizes import size_of

CONTAINER = "ab" * 32


def _process(proc: Path, pid: int, comm: str, cgroup: str, pages: int) -> None:
    (proc / str(pid)).mkdir(parents=True)
    words = ["S", "1", *["0"] * 9, "7", "3", *["0"] * 8, str(pages)]
    (proc / str(pid) / "stat").write_text(f"{pid} ({comm}) {' '.join(words)} 0 0\n")
    (proc / str(pid) / "cgroup").write_text(f"0::{cgroup}\n")


def test_load_is_summed_by_container_and_by_program_outside(tmp_path: Path) -> None:
    _process(tmp_path, 10, "node", f"/docker/{CONTAINER}", 100)
    _process(tmp_path, 11, "node", f"/docker/{CONTAINER}", 50)
    _process(tmp_path, 12, "(odd) name", "/init.scope", 10)
    _process(tmp_path, 13, "web", "/init.scope", 5)
    _process(tmp_path, 2, "kthreadd", "/", 0)
    (tmp_path / "stat").write_text("cpu  1 2 3 4 5 6 7 8 0 0\n")
    owners = {
        CONTAINER: Owner(name="api.1", instance="shop", service="api"),
        "pid 13": Owner(name="web.1", instance="shop"),
    }
    load = measure(owners, proc=tmp_path)
    page = load.busiest[0].memory // 150
    assert [(one.name, one.instance, one.memory // page) for one in load.busiest] == [
        ("api.1", "shop", 150),
        ("(odd) name", "", 10),
        ("web.1", "shop", 5),
    ]
    assert load.idle == 1.0


def test_a_full_file_system_is_told_and_the_machines_own_is_not(tmp_path: Path) -> None:
    (tmp_path / "7/root").mkdir(parents=True)
    (tmp_path / "7/mounts").write_text("overlay / overlay rw 0 0\nproc /proc proc rw 0 0\nx /here ext4 rw 0 0\n")
    (tmp_path / "7/root/here").mkdir()
    assert full_file_systems(7, proc=tmp_path) == ()
    assert full_file_systems(8, proc=tmp_path) == ()


def test_a_hard_link_is_measured_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    before = size_of(tmp_path)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert size_of(tmp_path) == before
    assert size_of(tmp_path / "nothing") == 0
