"""The machine against what the manifest says the app needs: C3, S1, T6 and T49 as the guides write them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from havre.model.server import Disk, ServerFacts, System
from havre.model.units import GIB, MIB

COMPOSE = "services: {web: {image: 'nginx:1'}}"
MANIFEST = """\
app: shop
server:
  needs:
    {memory: 2GB, cpus: 2, disk: 40GB, os: [ubuntu 20.04, debian 11], docker: "20.10", public_address: true,
     tools: [curl, git]}
  recommends: {memory: 4GB}
"""
BOOKWORM = System(
    name="Debian GNU/Linux 12",
    id="debian",
    version="12",
    addresses=("10.0.0.4", "51.91.1.2"),
    programs=frozenset({"curl", "git"}),
)


def server(**facts: Any) -> ServerFacts:
    good = {
        "memory_total": 3900 * MIB,
        "cpus": 2,
        "disks": (Disk(purpose="state", path="/", total=39 * GIB, free=20 * GIB),),
        "system": BOOKWORM,
        "engine": "Docker Engine 20.10.24",
    }
    return ServerFacts(**{**good, **facts})


def test_a_server_as_it_is_sold_has_what_it_was_sold_with(judge: Any) -> None:
    assert judge.problems("server-needs", COMPOSE, MANIFEST, server=server()) == []


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"memory_total": 1 * GIB}, "needs 2 GiB of memory; this server has 1 GiB"),
        ({"cpus": 1}, "needs 2 CPUs; this server has 1"),
        ({"disks": (Disk(purpose="state", path="/", total=20 * GIB, free=1),)}, "needs 40 GiB of disk"),
        ({"system": System(name="Debian 10", id="debian", version="10", addresses=("51.91.1.2",))}, "or newer"),
        ({"system": System(name="Ubuntu 18.04", id="ubuntu", version="18.04", addresses=("51.91.1.2",))}, "ubuntu 20"),
        ({"system": System(name="Alpine", id="alpine", version="3.20", addresses=("51.91.1.2",))}, "has Alpine"),
        ({"engine": "Docker Engine 19.3.8"}, "needs Docker Engine 20.10 or newer; this server has Docker Engine 19"),
        ({"system": System(name="Debian 12", id="debian", version="12", addresses=("10.0.0.4",))}, "has 10.0.0.4"),
        (
            {"system": replace(BOOKWORM, programs=frozenset({"git", "htop"}))},
            "needs curl installed; this",
        ),
    ],
)
def test_each_thing_that_is_missing_is_refused_with_what_there_is(judge: Any, facts: Any, said: str) -> None:
    found = judge.problems("server-needs", COMPOSE, MANIFEST, server=server(**facts))
    errors = [problem for problem in found if problem.severity.value == "error"]
    assert len(errors) == 1
    assert said in errors[0].summary
    assert str(errors[0].at).startswith("havre.yaml:")


def test_a_program_that_is_missing_is_installed_not_moved_to(judge: Any) -> None:
    bare = server(system=replace(BOOKWORM, programs=frozenset({"htop"})))
    found = judge.problems("server-needs", COMPOSE, MANIFEST, server=bare)
    hints = [problem.hint for problem in found if "curl, git installed" in problem.summary]
    assert hints == ["install it (`sudo apt-get install curl git`), or correct `server.needs.tools`"]


def test_what_is_only_recommended_is_a_warning(judge: Any) -> None:
    (problem,) = judge.problems("server-needs", COMPOSE, MANIFEST, server=server(memory_total=2 * GIB))
    assert problem.severity.value == "warning"
    assert "the app recommends 4 GiB of memory" in problem.summary


def test_a_missing_resource_can_be_waived(judge: Any) -> None:
    waived = MANIFEST + "waivers: [{check: server-needs, reason: a swap file until June, until: 2027-06-30}]\n"
    report = judge(COMPOSE, waived, server=server(cpus=1))
    assert [one.waiver.reason for one in report.waived] == ["a swap file until June"]


def test_facts_that_nobody_gathered_are_not_judged(judge: Any) -> None:
    assert judge.problems("server-needs", COMPOSE, MANIFEST, server=ServerFacts(cpus=2)) == []


@pytest.mark.parametrize(
    ("id_", "version", "count"), [("debian", "10", 1), ("debian", "12", 0), ("ubuntu", "18.04", 1)]
)
def test_a_system_too_old_for_docker_is_told(judge: Any, id_: str, version: str, count: int) -> None:
    facts = ServerFacts(system=System(name="x", id=id_, version=version))
    assert len(judge.problems("server-system", COMPOSE, server=facts)) == count
