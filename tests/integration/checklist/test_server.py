"""`havre server` on a real server: the machine, what shares it, and what the app would need."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from ipaddress import ip_network
from pathlib import Path

import pytest
from command import HAVRE
from launched_shop import LaunchedShop

pytestmark = pytest.mark.docker


def test_the_server_shows_the_machine_and_every_app_with_its_release_ports_and_memory(shop: LaunchedShop) -> None:
    said = shop.havre("server").stdout
    assert "Docker Engine" in said
    assert f"edge: runs, http 127.0.0.1:{shop.http_port}, https 127.0.0.1:{shop.https_port}" in said
    assert max(map(len, said.splitlines())) <= 80 or shop.directory.as_posix() in said
    (app,) = json.loads(shop.havre("server", "--json").stdout)["apps"]
    assert (app["instance"], app["release"], app["running"], app["replicas"]) == (shop.name, 1, 2, 2)
    assert 0 < app["memory_used"] < app["memory_limit"] == 224 * 1024**2
    assert app["hosts"] == ["launch.localhost/"]


def test_the_server_says_whom_to_ask_and_where_to_look(shop: LaunchedShop) -> None:
    said = shop.havre("server").stdout
    assert "documentation: /srv/shop/docs" in said
    assert "developer: dev@example.org" in said
    assert "edge/log" in said


def test_a_server_that_is_too_small_is_told_by_server_and_check_and_refused_by_deploy(shop: LaunchedShop) -> None:
    shop.write(more="server: {needs: {memory: 4TB, cpus: 1, os: [debian 11, ubuntu 20.04]}}")
    try:
        said = shop.havre("server", check=False)
        assert said.returncode == 3
        assert "missing: 4096 GiB of memory; this server has" in said.stdout
        assert "cpus" not in said.stdout
        checked = shop.havre("check", check=False)
        assert checked.returncode == 3
        assert "[server-needs]" in checked.stdout
        refused = shop.havre("deploy", "-y", check=False)
        assert refused.returncode == 3
        assert "the app needs 4096 GiB of memory" in refused.stderr
    finally:
        shop.write()
    assert shop.havre("server").returncode == 0


@pytest.mark.parametrize(
    ("has", "lacks", "said"),
    [
        ("memory: {memory}", "memory: {twice_memory}", "of memory; this server has"),
        ("cpus: {cpus}", "cpus: {more_cpus}", "CPUs; this server has {cpus}"),
        ("disk: {disk}", "disk: {twice_disk}", "of disk; this server has"),
        ("os: [debian 11, ubuntu 20.04]", "os: [debian 99]", "debian 99 or newer; this server has"),
        (
            "tools: [sh, tar]",
            "tools: [sh, no-such-tool]",
            "no-such-tool installed; this server has nothing of that name",
        ),
        ('docker: "20.10"', 'docker: "99.0"', "Docker Engine 99.0 or newer; this server has"),
    ],
)
def test_each_requirement_of_the_guides_is_held_against_the_real_machine(
    shop: LaunchedShop, has: str, lacks: str, said: str
) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    disk = shutil.disk_usage(shop.directory).total
    cpus = os.cpu_count() or 1
    values = {
        "memory": memory, "twice_memory": 2 * memory, "cpus": cpus, "more_cpus": cpus + 1,
        "disk": disk, "twice_disk": 2 * disk,
    }  # fmt: skip
    try:
        shop.write(more=f"server: {{needs: {{{has.format(**values)}}}}}")
        assert "[server-needs]" not in shop.havre("check", check=False).stdout
        shop.write(more=f"server: {{needs: {{{lacks.format(**values)}}}}}")
        checked = shop.havre("check", check=False)
        assert checked.returncode == 3
        assert said.format(**values) in " ".join(checked.stdout.split())
    finally:
        shop.write()


def test_a_public_address_is_one_that_the_internet_routes(shop: LaunchedShop) -> None:
    shop.write(more="server: {needs: {public_address: true}}")
    try:
        private = shop.havre_inside("ip addr add 10.1.2.3/32 dev lo", "server")
        assert private.returncode == 3
        assert "missing: a public address; this server has 10.1.2.3" in private.stdout
        public = shop.havre_inside("ip addr add 51.91.1.2/32 dev lo", "server")
        assert public.returncode == 0, public.stdout + public.stderr
        assert "addresses: 51.91.1.2" in public.stdout
    finally:
        shop.write()


def test_networks_are_listed_with_their_app_their_subnet_and_who_is_inside(shop: LaunchedShop) -> None:
    said = shop.havre("networks").stdout
    line = next(line for line in said.splitlines() if line.startswith(f"{shop.name}_default"))
    assert re.search(
        rf"{shop.name}_default +{shop.name} +[\d.]+/\d+ +db\.1 [\d.]+, web\.1 [\d.]+", " ".join(said.split())
    )
    assert line.split()[1] == shop.name
    assert "bridge" in said
    found = json.loads(shop.havre("networks", "--json").stdout)
    own = next(one for one in found["networks"] if one["name"] == f"{shop.name}_default")
    assert [replica for replica, _ in own["inside"]] == [f"{shop.name}/db.1", f"{shop.name}/web.1"]
    taken = [ip_network(subnet) for one in found["networks"] for subnet in one["subnets"]]
    assert not any(ip_network(found["free_subnet"]).overlaps(subnet) for subnet in taken)


def test_the_budget_shows_memory_and_disk_of_every_app(shop: LaunchedShop, tmp_path: Path) -> None:
    said = shop.havre("budget").stdout
    assert re.search(rf"{shop.name} +224 MiB", said)
    assert re.search(rf"{shop.name}/db +30 MiB  logs, by their limits", said)
    assert shop.name in _budgeted(shop, tmp_path), "where no app is, too"
    assert f"{shop.name}/db" in _budgeted(shop, shop.directory / "app"), "the app's own directories are the app"


def _budgeted(shop: LaunchedShop, directory: Path) -> list[str]:
    done = subprocess.run(
        [*HAVRE, "budget", "--json"], cwd=directory, env=shop.environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [line["name"] for disk in json.loads(done.stdout)["disks"] for line in disk["lines"]]
