"""What a project and its services tell about themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from havre.model.project import (
    Condition,
    Dependency,
    Mount,
    MountKind,
    Order,
    Project,
    Restart,
    Service,
    UpdatePolicy,
)

DATA = Mount(kind=MountKind.VOLUME, target="/data", source="data")


def service(name: str, *needs: str, condition: Condition = Condition.HEALTHY) -> Service:
    return Service(name=name, image=f"{name}:1", needs=tuple(Dependency(service=n, condition=condition) for n in needs))


def shop() -> Project:
    return Project(name="shop", services=(service("web", "api"), service("api", "db", "gone"), service("db")))


def test_services_are_found_by_name() -> None:
    assert shop().service("db").image == "db:1"
    with pytest.raises(KeyError, match="nobody"):
        shop().service("nobody")
    assert shop().service_names == ("web", "api", "db")


def test_dependencies_come_before_dependents_and_else_the_order_of_the_file_holds() -> None:
    project = replace(shop(), services=(*shop().services, service("zeta"), service("alpha", "db")))
    assert [s.name for s in project.in_start_order()] == ["db", "api", "web", "zeta", "alpha"]


def test_jobs_are_what_others_wait_to_see_completed() -> None:
    waiting = service("web", "init", condition=Condition.COMPLETED)
    assert Project(name="shop", services=(service("init"), waiting)).jobs == {"init"}
    assert shop().jobs == frozenset()


def test_replacing_a_service_leaves_the_others() -> None:
    changed = shop().with_service(replace(shop().service("api"), image="api:2"))
    assert [s.image for s in changed.services] == ["web:1", "api:2", "db:1"]


@pytest.mark.parametrize(
    ("mount", "order"),
    [
        (DATA, Order.STOP_FIRST),
        (replace(DATA, kind=MountKind.BIND, source="/srv"), Order.STOP_FIRST),
        (replace(DATA, read_only=True), Order.START_FIRST),
        (replace(DATA, source=None), Order.START_FIRST),
        (replace(DATA, kind=MountKind.TMPFS), Order.START_FIRST),
    ],
)
def test_a_service_that_writes_data_of_its_own_is_stop_first(mount: Mount, order: Order) -> None:
    assert replace(service("db"), mounts=(mount,)).order is order


def test_what_the_file_says_of_the_order_wins() -> None:
    rolling = replace(service("db"), mounts=(DATA,), update=UpdatePolicy(order=Order.START_FIRST))
    assert rolling.order is Order.START_FIRST


def test_only_a_service_that_nothing_asks_or_restarts_may_end() -> None:
    once = service("migrate")
    assert replace(once, restart=Restart(policy="on-failure")).may_end
    assert not replace(once, restart=Restart(policy="always")).may_end
    assert not replace(once, expose=("80",)).may_end
