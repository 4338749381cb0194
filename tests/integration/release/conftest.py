"""A shop on each engine, taken down and removed after the test whatever happened."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from ending import end_helpers
from shop import Shop

from havre.workflows.demo import free_port


@pytest.fixture(
    params=[pytest.param("docker", marks=pytest.mark.docker), pytest.param("process", marks=pytest.mark.process)]
)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    port = free_port(20000 + os.getpid() % 5000)
    shop = Shop(
        directory=tmp_path,
        engine=request.param,
        http_port=port,
        db_port=free_port(port + 1),
        name=f"shop{uuid.uuid4().hex[:6]}",
    )
    shop.write()
    yield shop
    shop.havre("down", "-y", "--volumes", "--confirm", shop.name, check=False)
    end_helpers(tmp_path / "state")
    if shop.engine == "docker":
        images = subprocess.run(
            ["docker", "images", "-q", f"{shop.name}/*"], capture_output=True, text=True, check=False
        ).stdout.split()
        subprocess.run(["docker", "rmi", "-f", *images], capture_output=True, check=False) if images else None
