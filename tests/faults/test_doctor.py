"""Real faults in a running shop, and what `havre doctor` makes of them: one cause, its evidence, and the way back."""

from __future__ import annotations

import os
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from ending import end_helpers
from shop import Shop

from havre.workflows.demo import free_port

pytestmark = pytest.mark.docker

PLANTED = "c0ffee1234567890abcdef"
"""The PASSWORD of the shop's `.env`."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Deployed once: every test leaves it well."""
    port = free_port(26000 + os.getpid() % 3000)
    shop = Shop(
        directory=tmp_path_factory.mktemp("doctor"),
        engine="docker",
        http_port=port,
        db_port=free_port(port + 1),
        name=f"doc{uuid.uuid4().hex[:6]}",
    )
    shop.write()
    shop.deploy()
    yield shop
    shop.havre("down", "-y", "--volumes", "--confirm", shop.name, check=False)
    end_helpers(shop.directory / "state")
    images = _docker("images", "-q", f"{shop.name}/*").split()
    if images:
        _docker("rmi", "-f", *images)


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False).stdout


def _doctor(shop: Shop, *arguments: str) -> tuple[int, str]:
    """(exit code, everything it said in one line)."""
    done = shop.havre("doctor", *arguments, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).replace("|", " ").split())


def _container(shop: Shop, service: str) -> str:
    wanted = ("--filter", f"label=havre.instance={shop.name}", "--filter", f"label=havre.service={service}")
    return _docker("ps", "-q", *wanted).split()[0]


def test_a_healthy_shop_is_told_in_one_line(shop: Shop) -> None:
    code, said = _doctor(shop)
    assert code == 0, said
    assert said.endswith(f"{shop.name}: all is well: release 1 serves, 3 replicas run, nothing complains")
    of_the_server = ("nothing brings this server's apps back after a reboot", "nothing keeps this server's clock")
    assert said.count("hint:") == sum(map(said.count, of_the_server)), said


def test_a_service_that_does_not_exist_is_bad_input(shop: Shop) -> None:
    code, said = _doctor(shop, "backend")
    assert code == 2
    assert "services: web, api, db" in said


def test_a_stopped_database_is_the_one_cause_and_the_hint_brings_it_back(shop: Shop) -> None:
    address = _docker(
        "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", _container(shop, "db")
    )
    _docker("stop", "-t", "2", _container(shop, "db"))
    # What a client with a pool does: it calls the address it knows. By name, a lookup may wait for a far-away server.
    call = f"import socket; socket.create_connection(('{address.strip()}', 5000), 5)"
    _docker("exec", _container(shop, "api"), "sh", "-c", f'python -c "{call}" 2> /proc/1/fd/2')
    code, said = _doctor(shop)
    assert code == 1, said
    assert "db.1: is stopped" in said
    assert "effect: api.1: cannot work with db" in said
    assert "hint: `havre start db`" in said
    assert "1 finding" in said
    shop.havre("start", "-y", "db")
    assert _doctor(shop, "db")[0] == 0


def test_a_kill_for_memory_is_told_with_its_limit_and_a_better_one(shop: Shop) -> None:
    eater = "x = [bytearray(10**7) for _ in range(100)]"
    _docker("exec", _container(shop, "web"), "python", "-c", eater)
    found = shop.havre("doctor", "web", "--json", check=False).stdout
    assert "killed by the kernel: out of memory" in found
    assert "peak 128 MiB of 128 MiB" in found
    assert "`mem_limit: 192m`" in found
    shop.havre("restart", "-y", "web")
    assert _doctor(shop, "web")[0] == 0


def test_an_edge_that_does_not_run_is_found_and_the_hint_brings_it_back(shop: Shop) -> None:
    shop.havre("edge", "stop")
    code, said = _doctor(shop)
    assert code == 1
    assert "the edge does not run" in said
    assert "`havre edge restart`" in said
    shop.havre("edge", "restart")
    assert _doctor(shop)[0] == 0


def test_a_failed_release_is_told_with_the_class_of_its_cause(shop: Shop) -> None:
    shop.write(web="2", broken="exit")
    assert shop.deploy(check=False).returncode == 1
    code, said = _doctor(shop)
    assert code == 1
    assert "(exit code 3); probably missing environment variable JWT_SECRET; release" in said
    assert "KeyError: 'JWT_SECRET' is not set" in said
    assert "havre logs --failed web" in said


def test_a_support_bundle_has_everything_and_no_secret(shop: Shop) -> None:
    planted = f"echo 'my token is {PLANTED}, psql://app:{PLANTED}@db' > /proc/1/fd/1"
    _docker("exec", _container(shop, "api"), "sh", "-c", planted)
    path = shop.directory / "bundle.tar.gz"
    shop.havre("support-bundle", "-o", str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    texts = _texts(path)
    assert {"versions.txt", "doctor.txt", "ps.json", "releases.json", "plan.txt", "compose.txt"} <= set(texts)
    assert "my token is ********" in texts["logs/api.log"]
    assert "web 1 listens on 3000" in texts["logs/web.log"]
    assert "JWT_SECRET" in texts["logs/web.failed.log"]
    assert "Docker Engine" in texts["versions.txt"]
    assert not [name for name, text in texts.items() if PLANTED in text]


def _texts(path: Path) -> dict[str, str]:
    """Name without the folder -> content."""
    with tarfile.open(path) as archive:
        found = {}
        for entry in archive.getmembers():
            file = archive.extractfile(entry)
            assert file is not None
            found[entry.name.partition("/")[2]] = file.read().decode()
    return found
