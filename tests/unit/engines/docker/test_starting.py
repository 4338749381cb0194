"""A container runtime that fails now and then."""

from __future__ import annotations

import pytest

from havre.engines.docker import containers
from havre.engines.docker.client import DockerClient
from havre.engines.docker.containers import Containers
from havre.engines.docker.faults import Asked, explain
from havre.errors import HavreError

HICCUP = "OCI runtime create failed: error during container init: %!w(<nil>): unknown"
FINAL = 'OCI runtime create failed: exec: "gunicorn": executable file not found in $PATH: unknown'


class Failing(DockerClient):
    """Answers one start after the other as told: a refusal, or None when it works."""

    def __init__(self, *answers: str | None) -> None:
        super().__init__()
        self.answers = list(answers)

    def post(self, path: str, *args: object, **how: object) -> object:  # type: ignore[override]
        message = self.answers.pop(0)
        if message is not None:
            raise explain(500, message, Asked(method="POST", path=path, doing="start web.1"))
        return None


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "_START_AGAIN_AFTER", (0.0, 0.0))


def test_what_has_not_started_is_started_again() -> None:
    client = Failing(HICCUP, HICCUP, None)

    Containers(client).start("x", doing="start web.1")

    assert client.answers == []


def test_after_the_third_failure_it_is_told() -> None:
    with pytest.raises(HavreError, match="could not set its process up"):
        Containers(Failing(HICCUP, HICCUP, HICCUP)).start("x", doing="start web.1")


def test_what_will_never_start_is_not_tried_twice() -> None:
    client = Failing(FINAL, None)

    with pytest.raises(HavreError, match="`gunicorn` is not in the image"):
        Containers(client).start("x", doing="start web.1")

    assert client.answers == [None]
