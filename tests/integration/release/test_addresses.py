"""A replica that Docker starts again is still led to, whatever address it gets."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from shop import Shop

pytestmark = pytest.mark.docker


@pytest.mark.parametrize("shop", ["docker"], indirect=True)
def test_a_replica_that_crashes_after_a_release_serves_again_by_itself(shop: Shop) -> None:
    shop.deploy()
    shop.write(web="2", api="2")
    shop.deploy()
    before = _address(shop, "web")
    _crash(shop, "web")
    assert _served_within(shop, 15.0)
    assert _address(shop, "web") == before


@pytest.mark.parametrize("shop", ["docker"], indirect=True)
def test_where_no_address_can_be_kept_the_next_deploy_leads_to_the_new_one(shop: Shop, foreign_network: str) -> None:
    _live_in(shop, foreign_network)
    shop.deploy()
    shop.write(web="2", api="2")
    _live_in(shop, foreign_network)
    shop.deploy()
    before = _address(shop, "web")
    _crash(shop, "web")
    assert _address(shop, "web") != before
    told = shop.deploy().stdout
    assert "replicas have other addresses" in told
    assert shop.get()[1]["web"] == "2"
    assert "nothing to do" in shop.deploy().stdout


@pytest.fixture
def foreign_network(shop: Shop) -> Iterator[str]:
    """A network that somebody else made, in which Docker lets nobody choose an address."""
    name = f"{shop.name}-foreign"
    subprocess.run(["docker", "network", "create", name], check=True, capture_output=True)
    yield name
    shop.havre("down", "-y", "--volumes", "--confirm", shop.name, check=False)
    subprocess.run(["docker", "network", "rm", name], check=True, capture_output=True)


def _live_in(shop: Shop, network: str) -> None:
    path = shop.directory / "compose.yaml"
    path.write_text(f"{path.read_text()}\nnetworks: {{default: {{name: {network}, external: true}}}}\n")


def _container(shop: Shop, service: str) -> str:
    filters = ["--filter", f"label=havre.instance={shop.name}", "--filter", f"label=havre.service={service}"]
    return subprocess.run(["docker", "ps", "-q", *filters], capture_output=True, text=True, check=True).stdout.strip()


def _inspect(container: str, form: str) -> str:
    argv = ["docker", "inspect", "-f", form, container]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def _address(shop: Shop, service: str) -> str:
    return _inspect(_container(shop, service), "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")


def _crash(shop: Shop, service: str) -> None:
    """Kill its process and wait until Docker has started it again."""
    container = _container(shop, service)
    pid = _inspect(container, "{{.State.Pid}}")
    os.kill(int(pid), signal.SIGKILL)
    deadline = time.monotonic() + 30
    while _inspect(container, "{{.State.Pid}} {{.State.Running}}") in {
        f"{pid} true",
        f"{pid} false",
        "0 true",
        "0 false",
    }:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _served_within(shop: Shop, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if shop.get()[0] == 200:
            return True
        time.sleep(0.2)
    return False
