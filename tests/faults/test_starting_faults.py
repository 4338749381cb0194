"""Programs that cannot start, each for its own reason: the deploy says the likely cause, and changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import run_havre
from ending import end_helpers

from havre.workflows.demo import free_port

pytestmark = pytest.mark.docker

CALM = {"image": "alpine", "command": "sleep 600", "init": True, "mem_limit": "16m", "stop_grace_period": "0s"}
JOB = {"image": "alpine", "mem_limit": "64m", "stop_grace_period": "0s", "volumes": ["./job:/job:ro", "vault:/data"]}

AARCH64 = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(44)


@dataclass(frozen=True)
class Fault:
    """What `job` is told in the Compose file, and what must be said of it."""

    job: dict[str, Any]
    says: tuple[str, ...]


def python(program: str, **more: Any) -> dict[str, Any]:
    return {"image": "python:3.11-slim", "command": ["python", "-c", program], **more}


def shell(line: str, **more: Any) -> dict[str, Any]:
    return {"command": ["sh", "-c", line], **more}


FAULTS = {
    "an image for another processor": Fault(
        {"entrypoint": ["/job/foreign"]}, ("the image is for another processor", "`platform:`")
    ),
    "a script that is not executable": Fault({"entrypoint": ["/job/plain"]}, ("not executable", "/job/plain")),
    "a script with Windows line ends": Fault({"entrypoint": ["/job/crlf"]}, ("/job/crlf", "a Windows line end")),
    "a program that is not there": Fault({"command": ["no-such-program"]}, ("`no-such-program` is not in the image",)),
    "a user that is not there": Fault(
        {"command": "sleep 60", "user": "nobodyhere"}, ("has no user called nobodyhere", "number instead of the name")
    ),
    "a volume of another user": Fault(
        shell("echo > /data/x", user="1000"), ("probably permission denied", "/data/x", "`havre exec job id`")
    ),
    "a file system that is read-only": Fault(
        shell("echo > /x", read_only=True), ("probably it writes where it may only read", "`tmpfs:`")
    ),
    "a library that is missing": Fault(
        python("import ctypes; ctypes.CDLL('libGL.so.1')"),
        ("a shared library that the image lacks: libGL.so.1", "install it in the image of job"),
    ),
    "too few open files": Fault(
        python("x = [open('/dev/null') for _ in range(99)]", ulimits={"nofile": 20}),
        ("probably its limit of open files", "`ulimits: {nofile: 65536}`"),
    ),
    "too little memory": Fault(
        python("x = bytearray(200_000_000)", mem_limit="32m"),
        ("out of memory at its limit of 32 MiB", "`mem_limit: 64m`"),
    ),
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A release that serves, before any of the faults."""
    directory, name = tmp_path_factory.mktemp("starting"), f"stuck{uuid.uuid4().hex[:6]}"
    (directory / "state").mkdir()
    port = free_port(26000 + os.getpid() % 3000)
    (directory / "state/server.yaml").write_text(f"http_port: {port}\nhttps_port: 0\nbind: [127.0.0.1]\n")
    (directory / "havre.yaml").write_text(f"app: {name}\n")
    job = directory / "job"
    job.mkdir()
    for file, content, mode in (
        ("foreign", AARCH64, 0o755),
        ("plain", b"#!/bin/sh\nsleep 60\n", 0o644),
        ("crlf", b"#!/bin/sh\r\nsleep 60\r\n", 0o755),
    ):
        (job / file).write_bytes(content)
        (job / file).chmod(mode)
    _write(directory, {"command": "sleep 600", "init": True})
    try:
        run_havre(directory, "deploy", "-y", "--engine", "docker")
        yield directory, name
    finally:
        run_havre(directory, "down", "-y", "--volumes", "--confirm", name, check=False)
        end_helpers(directory / "state")


@pytest.mark.parametrize("name", FAULTS)
def test_why_a_program_cannot_start_is_said_and_what_serves_stays(name: str, app: tuple[Path, str]) -> None:
    directory, instance = app
    before = _running(instance)
    _write(directory, FAULTS[name].job)
    done = run_havre(directory, "deploy", "-y", check=False, columns=400)
    said = " ".join(f"{done.stdout}\n{done.stderr}".split())
    assert done.returncode == 1, said
    for words in FAULTS[name].says:
        assert words in said, said
    assert "hint:" in said
    assert _running(instance) == before


def _write(directory: Path, job: dict[str, Any]) -> None:
    document = {"services": {"calm": CALM, "job": {**JOB, **job}}, "volumes": {"vault": {}}}
    (directory / "compose.yaml").write_text(json.dumps(document))


def _running(instance: str) -> list[str]:
    wanted = ["--filter", f"label=havre.instance={instance}", "--filter", "status=running"]
    done = subprocess.run(["docker", "ps", "-q", *wanted], capture_output=True, text=True, check=True)
    return sorted(done.stdout.split())
