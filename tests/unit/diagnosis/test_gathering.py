"""What is gathered before the diagnosis: the values to hide, and the ends of processes from an engine's events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diagnosed_shop import service

from havre.engines.docker import looking
from havre.model.diagnosis import Death
from havre.model.project import FileSource, Project
from havre.model.secrets_mask import mask_text
from havre.workflows.doctor import secret_values


def test_every_kind_of_secret_of_a_project_is_known(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file-5\n")
    project = Project(
        name="shop",
        services=(
            service(
                "api", environment={"JWT_SECRET": "by-name-1", "URL": "postgres://app:in%2Furl-2@db/x", "TZ": "UTC"}
            ),
            service("kv", image="redis:7", command=("redis-server", "--requirepass", "on-the-line-3")),
        ),
        secrets=(FileSource(key="a", content="inline-4"), FileSource(key="b", file=str(tmp_path / "key"))),
    )
    values = secret_values(project)
    assert {"by-name-1", "in/url-2", "on-the-line-3", "inline-4", "from-a-file-5"} <= set(values)
    assert "UTC" not in values
    shown = mask_text("in/url-2 and in%2Furl-2 and from-a-file-5 in UTC", values)
    assert shown == "******** and ******** and ******** in UTC"


def test_a_secret_file_that_is_gone_hides_nothing_and_breaks_nothing(tmp_path: Path) -> None:
    project = Project(name="shop", secrets=(FileSource(key="b", file=str(tmp_path / "gone")),))
    assert secret_values(project) == ()


class Events:
    """An engine whose event log is this."""

    def __init__(self, *events: tuple[str, float, str]) -> None:
        self._events = events

    def stream(self, *_: object, **__: object) -> Events:
        return self

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def messages(self) -> list[dict[str, Any]]:
        return [
            {"id": "c1", "Action": action, "timeNano": at * 1e9, "Actor": {"Attributes": {"exitCode": code}}}
            for action, at, code in self._events
        ]


def test_an_end_just_after_a_kill_for_memory_is_that_kill() -> None:
    engine: Any = Events(("oom", 10.0, ""), ("die", 10.2, "137"), ("die", 60.0, "0"))
    found = looking.deaths(engine, "shop", 0.0)
    assert found["c1"] == (Death(at=10.2, exit_code=137, oom=True), Death(at=60.0, exit_code=0))


def test_a_kill_without_an_end_was_a_childs() -> None:
    engine: Any = Events(("oom", 10.0, ""), ("die", 60.0, "0"))
    assert looking.deaths(engine, "shop", 0.0)["c1"] == (Death(at=10.0, oom=True), Death(at=60.0, exit_code=0))
