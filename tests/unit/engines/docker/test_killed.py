"""Why a container was killed is known to the engine a moment after it ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from havre.engines.docker import snapshot
from havre.engines.docker.client import DockerClient
from havre.engines.docker.containers import Containers
from havre.host import clock


class Late(DockerClient):
    """Answers one look at a container after the other as told; the last one again and again."""

    def __init__(self, *states: dict[str, Any]) -> None:
        super().__init__()
        self.states = list(states)
        self.looks = 0

    def find(self, path: str, *args: object, **how: object) -> object:
        self.looks += 1
        return {"State": self.states.pop(0) if len(self.states) > 1 else self.states[0]}


def state(*, oom: bool = False, code: int = 137, ago: float = 0.0, status: str = "exited") -> dict[str, Any]:
    finished = datetime.fromtimestamp(clock.now() - ago, UTC).isoformat().replace("+00:00", "Z")
    return {"Status": status, "ExitCode": code, "OOMKilled": oom, "FinishedAt": finished}


def test_a_kill_for_memory_that_the_engine_tells_late_is_told_as_one() -> None:
    client = Late(state(), state(), state(oom=True))
    found = Containers(client).ended("x", doing="look")
    assert found is not None
    assert (found["State"]["OOMKilled"], client.looks) == (True, 3)


@pytest.mark.parametrize(
    "told",
    [state(oom=True), state(code=1), state(ago=60.0), state(status="running", code=0)],
    ids=["known at once", "not killed", "long ago", "running"],
)
def test_nobody_waits_where_nothing_more_will_be_told(told: dict[str, Any]) -> None:
    client = Late(told)
    Containers(client).ended("x", doing="look")
    assert client.looks == 1


def test_a_kill_by_somebody_else_is_waited_for_a_moment_only() -> None:
    began = clock.elapsed()
    found = Containers(Late(state())).ended("x", doing="look")
    assert found is not None
    assert 0.4 < clock.elapsed() - began < 2
    assert snapshot.seconds(found["State"]["FinishedAt"]) > 0
