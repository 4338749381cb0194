"""A rotation changes what holds the password, then releases, then forgets the old value; or takes every step back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from havre.engines.base import Executed
from havre.errors import FailedError, InputError, Problem
from havre.model.app import App
from havre.model.observed import Observed, ObservedReplica, ReplicaState
from havre.model.project import Project, Service
from havre.secrets.vault import Vault
from havre.workflows.rotate import rotate

RELEASE: Any = SimpleNamespace(number=7)


@dataclass
class Databases:
    """An engine whose servers check the password they are asked with, as the real ones do."""

    passwords: dict[str, set[str]]
    running: bool = True
    refuses: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)

    def observe(self, instance: str) -> Observed:
        state = ReplicaState.RUNNING if self.running else ReplicaState.EXITED
        replicas = tuple(
            ObservedReplica(service=name, slot=1, id=name, name=name, state=state) for name in self.passwords
        )
        return Observed(instance=instance, replicas=replicas)

    def execute(
        self, _instance: str, service: str, _slot: int, command: Sequence[str], *, stdin: bytes,
        environment: Sequence[tuple[str, str]], timeout: float,
    ) -> Executed:  # fmt: skip
        given = dict(environment).get("PGPASSWORD") or dict(environment)["REDISCLI_AUTH"]
        self.asked.append((service, command[0]))
        assert timeout > 0
        if self.refuses or given not in self.passwords[service]:
            code = 2 if command[0] == "psql" else 0
            return Executed(exit_code=code, output="WRONGPASS invalid")
        if command[0] == "psql":
            assert b"SCRAM-SHA-256$" in stdin
            self.passwords[service] = {"(verifier)"}
        else:
            self.passwords[service] = {word[1:] for word in stdin.decode().split() if word.startswith(">")}
        return Executed(exit_code=0, output="OK\n")


def project(vault: Vault, image: str) -> Project:
    password = vault.values()["PW"]
    command = ("redis-server", "--requirepass", password) if image.startswith("redis") else None
    names = {"postgres:16": "POSTGRES_PASSWORD", "rabbitmq:3": "RABBITMQ_DEFAULT_PASS"}
    environment = ((names.get(image, "X"), password),)
    return Project(name="shop", services=(Service(name="db", image=image, command=command, environment=environment),))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    made = Vault(tmp_path / "secrets", tmp_path / "keys", "shop")
    made.put({"PW": "old-8812"})
    return made


def turn(vault: Vault, engine: Databases, image: str, release: Callable[[Any], Any] | None = None, **more: Any) -> Any:
    intent = lambda: SimpleNamespace(app=App(name="shop"), project=project(vault, image))  # noqa: E731
    server = cast("Any", SimpleNamespace(engine=engine))
    return rotate(server, vault, "PW", load=cast("Any", intent), release=release or (lambda _intent: RELEASE), **more)


def test_redis_takes_both_passwords_and_the_store_the_new_one(vault: Vault) -> None:
    engine = Databases({"db": {"old-8812"}})
    done = turn(vault, engine, "redis:7")
    new = vault.values()["PW"]
    assert new != "old-8812"
    assert engine.passwords["db"] == {new, "old-8812"}
    assert ([holder.service for holder in done.holders], done.release.number) == (["db"], 7)
    assert not vault.list()[0].rotation_pending


def test_postgres_gets_a_verifier_and_never_the_password(vault: Vault) -> None:
    engine = Databases({"db": {"old-8812"}})
    turn(vault, engine, "postgres:16", value="mine-77")
    assert vault.values()["PW"] == "mine-77"
    assert engine.asked == [("db", "psql")]


def test_a_rotation_that_was_cut_short_goes_on_with_its_new_value(vault: Vault) -> None:
    _, new = vault.begin_rotation("PW", "chosen")
    engine = Databases({"db": {"chosen"}})
    turn(vault, engine, "redis:7")
    assert vault.values()["PW"] == new
    assert not vault.list()[0].rotation_pending


def test_when_the_release_fails_server_and_store_go_back(vault: Vault) -> None:
    engine = Databases({"db": {"old-8812"}})

    def fail(_intent: object) -> Any:
        raise FailedError(Problem(summary="no", hint="x"))

    with pytest.raises(FailedError):
        turn(vault, engine, "redis:7", fail)
    assert vault.values() == {"PW": "old-8812"}
    assert "old-8812" in engine.passwords["db"]


@pytest.mark.parametrize("image", ["redis:7", "postgres:16"])
def test_a_server_that_refuses_stops_the_rotation_before_any_release(vault: Vault, image: str) -> None:
    released: list[object] = []
    with pytest.raises(FailedError, match="db did not take the new password") as caught:
        turn(vault, Databases({"db": {"old-8812"}}, refuses=True), image, released.append)
    assert released == []
    assert vault.values() == {"PW": "old-8812"}
    assert "old-8812" not in str(caught.value)


def test_a_server_nobody_here_can_change_is_named(vault: Vault) -> None:
    with pytest.raises(FailedError, match="cannot change the password of a running rabbitmq"):
        turn(vault, Databases({"db": {"old-8812"}}), "rabbitmq:3")


def test_a_stopped_server_learns_it_at_its_next_start(vault: Vault) -> None:
    engine = Databases({"db": {"old-8812"}}, running=False)
    turn(vault, engine, "redis:7")
    assert engine.asked == []


def test_a_secret_no_server_holds_is_only_released(vault: Vault) -> None:
    engine = Databases({"db": {"old-8812"}})
    assert turn(vault, engine, "shop:1").holders == ()
    assert engine.asked == []


def test_values_that_would_break_a_statement_are_refused_before_anything(vault: Vault) -> None:
    with pytest.raises(InputError, match="spaces, line breaks"):
        turn(vault, Databases({}), "redis:7", value="a b")
    assert not vault.list()[0].rotation_pending
