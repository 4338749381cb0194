"""Whose requests must wait while a service is away: by what services depend on, and by the addresses they are given."""

from __future__ import annotations

from dataclasses import replace

from memory_world import project, rolling, stateful

from havre.model.project import Condition, Dependency, Project, Service
from havre.planning.callers import Callers

DB = stateful("db")
API = rolling("api", "", "db")
WEB = rolling("web", "", "api")


def of_db(*services: Service, led: str = "web api db", met: str = "", then: Project | None = None) -> tuple[str, ...]:
    return Callers(project(*services), then).of("db", led=led.split(), met=met.split())


def test_a_service_waits_with_what_it_depends_on() -> None:
    assert of_db(DB, API, met="api") == ("api",)


def test_it_waits_as_well_when_only_its_environment_has_the_address() -> None:
    by_url = replace(rolling("api"), environment=(("DATABASE_URL", "postgresql://u:p@db:5432/x"),))
    by_host = replace(rolling("api"), environment=(("DB_HOST", "db"), ("DB_PORT", "5432")))
    assert of_db(DB, by_url) == of_db(DB, by_host) == ("api",)
    assert of_db(DB, replace(rolling("api"), environment=(("NOTE", "ask db"),))) == ()


def test_what_calls_it_through_another_waits_where_that_is_called_directly() -> None:
    assert of_db(DB, API, WEB, led="web") == ("web",)
    assert of_db(DB, API, WEB, led="web api") == ("api", "web"), "api has a route; web calls it without the edge"


def test_calls_wait_at_the_door_of_what_is_called_through_the_edge() -> None:
    assert of_db(DB, API, WEB, met="api web") == ("api",)
    direct = rolling("web", "", "api", "db")
    assert of_db(DB, API, direct, met="api web") == ("api", "web")


def test_what_was_called_through_the_edge_until_now_has_a_door_of_its_own_to_wait_at() -> None:
    assert of_db(DB, API, WEB, met="api db") == ()


def test_nobody_waits_where_the_edge_leads_to_no_caller() -> None:
    assert of_db(DB, API, WEB, led="db") == ()


def test_a_job_serves_nobody() -> None:
    init = rolling("init", "", "db")
    after = replace(rolling("api"), needs=(Dependency(service="init", condition=Condition.COMPLETED),))
    assert of_db(DB, init, after) == ()


def test_what_it_needs_to_start_does_not_wait_for_it() -> None:
    search = replace(rolling("web"), environment=(("DB_URL", "http://db:80"),))
    assert of_db(stateful("db", "", "web"), search) == ()
    assert of_db(stateful("db", "", "api"), rolling("api", "", "web"), search) == ()


def test_what_calls_it_in_the_release_that_serves_waits_though_the_next_release_does_not_call_it() -> None:
    alone = rolling("api")
    assert of_db(DB, alone, WEB) == ()
    assert of_db(DB, alone, WEB, then=project(DB, API, WEB)) == ("api", "web")
    assert of_db(DB, WEB, then=project(DB, API, WEB)) == ("api", "web"), "it is removed at the end of the release"


def test_what_calls_it_only_in_the_next_release_may_be_replaced_before_it() -> None:
    assert of_db(DB, API, then=project(DB, rolling("api"))) == ("api",)
