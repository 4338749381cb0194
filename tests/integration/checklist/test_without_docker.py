"""The checklist where services run as plain processes: what an engine keeps is asked of that engine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from ending import end_helpers
from shop import Shop

from havre.workflows.demo import free_port

pytestmark = pytest.mark.process


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Three services without Docker."""
    port = free_port(30100 + os.getpid() % 1000)
    shop = Shop(
        directory=tmp_path_factory.mktemp("plain"), engine="process", http_port=port, db_port=free_port(port + 1)
    )
    shop.write()
    shop.deploy()
    yield shop
    shop.havre("down", "-y", "--volumes", "--confirm", shop.name, check=False)
    end_helpers(shop.directory / "state")


def test_logs_restarts_and_services_are_judged_without_docker_too(shop: Shop) -> None:
    only = ("services-run", "health-checks", "log-bounds", "reboot", "cpu-only", "proxy")
    words = [word for item in only for word in ("--only", item)]
    done = shop.havre("checklist", "--json", *words, check=False)
    found = {one["id"]: one for one in json.loads(done.stdout)["items"]}
    states = {item: found[item]["state"] for item in only}
    assert states == {
        "services-run": "passed",
        "health-checks": "passed",
        "log-bounds": "passed",
        "reboot": "failed",
        "cpu-only": "only a person can say",
        "proxy": "passed",
    }, found
    assert "web.1: havre, 3 x 10 MiB" in found["log-bounds"]["evidence"]
    assert [problem["subject"] for problem in found["reboot"]["problems"]] == ["edge"]
