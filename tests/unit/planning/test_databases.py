"""Two instances that work with one database server have a lock in common, and no others do."""

from __future__ import annotations

from dataclasses import replace

from memory_world import rolling

from havre.model.project import Attachment, Dependency, Network, Project, Service
from havre.planning.databases import database_locks, database_names, under


def app(**environment: str) -> Service:
    return replace(rolling("web", "web:1"), environment=tuple(environment.items()))


def locks(service: Service, *others: Service, instance: str = "shop", networks: tuple[Network, ...] = ()) -> set[str]:
    project = Project(name=instance, services=(service, *others), networks=networks)
    return set(database_locks(project, instance, service))


def test_an_outside_server_is_the_same_for_every_instance() -> None:
    by_url = app(DATABASE_URL="postgresql+asyncpg://me:pw@db.example.org/shop?ssl=1")
    by_parts = app(DB_HOST="db.example.org", DB_PORT="5432")
    assert locks(by_url) == locks(by_parts, instance="shop-staging") == {"db.example.org:5432"}


def test_a_server_of_its_own_is_shared_with_nobody() -> None:
    url, database = app(DATABASE_URL="postgres://db:5432/shop"), rolling("db", "postgres:15")
    assert locks(url, database) == {"shop/db"}
    assert locks(url, database, instance="shop-staging") == {"shop-staging/db"}


def test_a_server_that_others_reach_over_a_shared_network_has_its_names_there() -> None:
    network = Network(key="shared", name="shared", external=True)
    attached = replace(rolling("db", "postgres:15"), networks=(Attachment(network="shared", aliases=("main-db",)),))
    owner = locks(app(DATABASE_URL="postgres://db/shop"), attached, networks=(network,))
    guest = locks(app(PGHOST="main-db"), instance="guest")
    assert owner & guest == {"main-db:5432"}


def test_what_is_no_database_is_not_locked() -> None:
    assert locks(app(API_URL="https://api.example.org/v1", REDIS_URL="redis://cache:6379/0")) == set()


def test_services_behind_are_found_by_need_and_by_name() -> None:
    web = replace(app(DATABASE_URL="postgres://db/shop"), needs=(Dependency(service="api"),))
    api = replace(rolling("api", "api:1"), environment=(("DB", "mysql://old/x"),))
    services = (web, api, rolling("db", "postgres:15"), rolling("old", "mysql:8"), rolling("other", "other:1"))
    assert under(Project(name="shop", services=services), web) == ("api", "db", "old")


def test_names_of_databases_come_from_addresses_and_values() -> None:
    found = database_names(app(DATABASE_URL="postgres://u:p@db/shop_live?x=1", PGDATABASE="other"))
    assert {"shop_live", "other"} <= found
