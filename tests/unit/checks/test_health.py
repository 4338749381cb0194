"""Health checks that prove nothing are found; those that prove something are left alone."""

from __future__ import annotations

from typing import Any

import pytest

from havre.checks.health import programs
from havre.model.health import HealthCheck
from havre.model.observed import Observed, ObservedImage
from havre.model.project import Service


def compose(test: str, *, command: str = "", environment: str = "{}", image: str = "shop:1", extra: str = "") -> str:
    return f"""\
services:
  web:
    image: {image}
    command: {command or "[]"}
    environment: {environment}
    healthcheck: {{test: {test}}}
    {extra}
"""


@pytest.mark.parametrize(
    ("test", "summary"),
    [
        ('["CMD-SHELL", "curl -f http://localhost/ || true"]', "its health check always succeeds"),
        ('["CMD-SHELL", "curl -f http://localhost/ || exit 0"]', "its health check always succeeds"),
        ('["CMD-SHELL", "curl -f http://localhost/; exit 0;"]', "its health check always succeeds"),
        ('["CMD", "true"]', "its health check always succeeds"),
        ('"exit 0"', "its health check always succeeds"),
        ('"echo ok"', "its health check always succeeds"),
        ('["CMD", "sh", "-c", "check || :"]', "its health check always succeeds"),
        ('"curl -f http://localhost/ | cat"', "its health check ends in a pipe whose last command always succeeds"),
        ('"pg_isready | tee /tmp/x"', "its health check ends in a pipe whose last command always succeeds"),
    ],
)
def test_a_check_that_cannot_fail_is_refused(judge: Any, test: str, summary: str) -> None:
    assert [one.summary for one in judge.problems("health-cannot-fail", compose(test))] == [summary]


@pytest.mark.parametrize(
    "test",
    [
        '["CMD-SHELL", "curl -f http://localhost/ || exit 1"]',
        '["CMD", "curl", "-f", "http://localhost/"]',
        '["CMD", "wget", "--quiet", "--tries=1", "--spider", "http://127.0.0.1:3000/"]',
        '"curl -s http://localhost/ | grep -q ok"',
        '"echo ruok | nc localhost 2181 | grep imok"',
        '["CMD", "python", "-c", "import urllib.request; urllib.request.urlopen(\'http://127.0.0.1:8000/health\')"]',
    ],
)
def test_a_check_that_can_fail_is_left_alone(judge: Any, test: str) -> None:
    assert judge.lines("health-cannot-fail", compose(test)) == []
    assert judge.lines("health-any-status", compose(test)) == []


REDIS = "redis-server --requirepass kz81-9"


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ('["CMD", "redis-cli", "ping"]', "the answer is NOAUTH"),
        ('"redis-cli -a kz81-9 ping"', "whatever the server answers"),
        ("""'REDISCLI_AUTH="$$REDIS_PASSWORD" redis-cli ping'""", "whatever the server answers"),
    ],
)
def test_redis_cli_that_looks_at_no_answer_cannot_fail(judge: Any, test: str, said: str) -> None:
    (problem,) = judge.problems("health-cannot-fail", compose(test, command=REDIS, image="redis:7"))
    assert said in problem.summary
    assert "grep -q PONG" in problem.hint
    assert "kz81-9" not in str(problem)


def test_redis_cli_with_the_password_in_its_environment_still_has_to_look_at_the_answer(judge: Any) -> None:
    text = compose("[CMD, redis-cli, ping]", command=REDIS, image="redis:7", environment="{REDISCLI_AUTH: kz81-9}")
    assert "whatever the server answers" in judge.problems("health-cannot-fail", text)[0].summary


@pytest.mark.parametrize(
    ("test", "command"),
    [
        ('["CMD", "redis-cli", "ping"]', "redis-server"),
        ('"redis-cli ping | grep -q PONG"', REDIS),
        ('"redis-cli -e -a kz81-9 ping"', REDIS),
    ],
)
def test_redis_checks_that_can_fail_are_left_alone(judge: Any, test: str, command: str) -> None:
    assert judge.lines("health-cannot-fail", compose(test, command=command, image="redis:7")) == []


def test_a_password_only_the_clients_show_counts_too(judge: Any) -> None:
    text = """\
services:
  cache: {image: 'redis:7', healthcheck: {test: [CMD, redis-cli, ping]}, volumes: ['./r.conf:/r.conf:ro']}
  web: {image: 'shop:1', environment: {REDIS_URL: 'redis://:kz81-9@cache:6379'}}
"""
    assert len(judge.lines("health-cannot-fail", text)) == 1


def test_the_message_says_where_and_what(judge: Any) -> None:
    (problem,) = judge.problems("health-cannot-fail", compose('"curl -f http://localhost/ || true"'))
    assert str(problem) == (
        "compose.yaml:6:19: web: its health check always succeeds\n"
        "    health check: curl -f http://localhost/ || true\n"
        "  effect: a broken replica would count as healthy and get traffic\n"
        "  hint: remove what makes it succeed (`|| true`, `exit 0`) and ask the service"
    )


WAITING = """\
services:
  db: {image: 'postgres:16', environment: {POSTGRES_PASSWORD: x9}}
  web: {image: 'shop:1', depends_on: {db: {condition: service_healthy}}}
  worker: {image: 'shop:1', depends_on: {db: {condition: service_healthy}}}
"""


def test_a_check_that_others_wait_for_and_that_is_missing_is_proposed(judge: Any) -> None:
    (problem,) = judge.problems("health-missing", WAITING)
    assert problem.summary == "web and worker wait for it to be healthy, and it has no health check"
    assert "pg_isready -h 127.0.0.1" in problem.hint


def test_a_check_that_the_image_brings_counts(judge: Any) -> None:
    image = ObservedImage(reference="postgres:16", id="x", health=("CMD", "pg_isready"))
    assert judge.lines("health-missing", WAITING, observed=Observed(instance="shop", images=(image,))) == []
    bare = ObservedImage(reference="postgres:16", id="x")
    assert len(judge.lines("health-missing", WAITING, observed=Observed(instance="shop", images=(bare,)))) == 1


def test_a_service_that_users_reach_should_have_a_check(judge: Any) -> None:
    manifest = "app: shop\nroutes: [{host: a.org, to: 'web:80'}]"
    text = "services: {web: {image: 'shop:1'}, worker: {image: 'shop:1'}}"
    assert judge.lines("health-missing", text, manifest) == [
        "compose.yaml:1:12: web: it is reached from outside and has no health check"
    ]
    disabled = "services: {web: {image: 'shop:1', healthcheck: {disable: true}}}"
    assert len(judge.lines("health-missing", disabled, manifest)) == 1
    assert judge.lines("health-missing", disabled) == []


def test_one_service_that_waits_is_told_in_the_singular(judge: Any) -> None:
    text = """\
services:
  a: {image: 'x:1'}
  b: {image: 'x:1', depends_on: {a: {condition: service_healthy}}}
"""
    assert judge.problems("health-missing", text)[0].summary.startswith("b waits for it")


@pytest.mark.parametrize("page", ["/docs", "/openapi.json", "/redoc", "/swagger-ui/index.html"])
def test_a_static_page_proves_nothing_about_the_database(judge: Any, page: str) -> None:
    text = f"""\
services:
  db: {{image: 'postgres:16', environment: {{POSTGRES_PASSWORD: x9}}}}
  api:
    image: api:1
    depends_on: [db]
    healthcheck: {{test: [CMD, curl, -f, 'http://localhost:8000{page}']}}
"""
    (problem,) = judge.problems("health-no-dependency", text)
    assert problem.summary == f"its health check asks {page}, which answers while db is down"


def test_a_static_page_will_do_for_a_service_without_a_database(judge: Any) -> None:
    assert judge.lines("health-no-dependency", compose("[CMD, curl, -f, 'http://localhost/docs']")) == []


def test_curl_without_f_takes_500_for_good(judge: Any) -> None:
    assert judge.lines("health-any-status", compose("[CMD, curl, 'http://localhost/health']")) == [
        "compose.yaml:6:19: web: its health check takes any HTTP answer for good, 500 included"
    ]
    for flags in ("-sf", "-fsS", "--fail", "-s --fail-with-body"):
        assert judge.lines("health-any-status", compose(f'"curl {flags} http://localhost/"')) == []


@pytest.mark.parametrize(
    ("test", "shell", "needed"),
    [
        (("curl", "-f", "http://x"), False, ("curl",)),
        (("/usr/bin/wget", "x"), False, ("/usr/bin/wget",)),
        (("sh", "-c", "pg_isready -U x && psql -c 'select 1'"), False, ("sh", "pg_isready", "psql")),
        (("curl -f http://x || exit 1",), True, ("sh", "curl")),
        (("A=1 redis-cli ping | grep -q PONG",), True, ("sh", "redis-cli", "grep")),
        (("test -f /tmp/ready",), True, ("sh",)),
        (("if wget -q x; then exit 0; else exit 1; fi",), True, ("sh", "wget")),
        (("! pgrep nginx",), True, ("sh", "pgrep")),
        (("$TOOL x; (nc -z localhost 80)",), True, ("sh", "nc")),
        (("echo 'unclosed",), True, ("sh",)),
    ],
)
def test_the_programs_a_check_needs_are_read_from_it(
    test: tuple[str, ...], shell: bool, needed: tuple[str, ...]
) -> None:
    service = Service(name="web", image="x", health=HealthCheck(test=test, shell=shell))
    assert programs(service) == needed


def test_a_service_without_a_check_needs_no_program() -> None:
    assert programs(Service(name="web", image="x")) == ()
    assert programs(Service(name="web", image="x", health=HealthCheck(test=()))) == ()


@pytest.mark.parametrize(
    ("there", "hint"),
    [
        ({"wget"}, "the image has wget: use `wget -q --spider URL`"),
        ({"python3"}, "the image has python3: use `python3 -c"),
        ({"node"}, "the image has node: use `node -e"),
        (set(), "install `curl` in the image, or use a program it has"),
    ],
)
def test_a_tool_the_image_lacks_is_replaced_by_one_it_has(judge: Any, there: set[str], hint: str) -> None:
    text = compose("[CMD, curl, -f, 'http://localhost/']")
    (problem,) = judge.problems("health-tool", text, has_tool=lambda _service, program: program in there)
    assert problem.summary == "its health check runs `curl`, which its image does not have"
    assert problem.hint.startswith(hint)


def test_tools_nobody_looked_for_are_not_judged(judge: Any) -> None:
    assert judge.lines("health-tool", compose("[CMD, curl, 'http://localhost/']")) == []


def test_a_missing_tool_without_a_known_stand_in_is_named(judge: Any) -> None:
    found = judge.problems("health-tool", compose("[CMD, grpc_health_probe]"), has_tool=lambda _s, _p: False)
    assert found[0].hint == "install `grpc_health_probe` in the image, or use a program it has"


def waiting(other: str, condition: str = "service_completed_successfully") -> str:
    return f"""\
services:
  web:
    image: shop:1
    depends_on: {{other: {{condition: {condition}}}}}
  other: {{{other}}}
"""


def test_waiting_for_a_server_to_end_is_waiting_for_ever(judge: Any) -> None:
    (found,) = judge.problems("waits-for-ever", waiting("image: 'postgres:16'"))
    assert found.summary == "web waits for other to end, and a server never ends by itself"
    assert str(found.at).startswith("compose.yaml:4:")
    assert found.hint == "write `condition: service_started`"
    (found,) = judge.problems("waits-for-ever", waiting("image: 'postgres:16', healthcheck: {test: pg_isready}"))
    assert found.hint == "write `condition: service_healthy`"


@pytest.mark.parametrize(
    "text",
    [
        waiting("image: 'migrate:1'"),
        waiting("image: 'postgres:16', command: [psql, -c, 'select 1']"),
        waiting("image: 'nginx:1', entrypoint: [nginx, -t]"),
        waiting("image: 'postgres:16'", "service_healthy"),
    ],
)
def test_waiting_for_a_job_or_for_health_is_what_it_should_be(judge: Any, text: str) -> None:
    assert judge.problems("waits-for-ever", text) == []


@pytest.mark.parametrize("test", ['["CMD"]', '["CMD-SHELL"]'])
def test_a_check_that_names_nothing_to_run_is_refused_and_hinders_no_other_check(judge: Any, test: str) -> None:
    (problem,) = judge.problems("health-empty", compose(test))
    assert problem.summary == "its health check names nothing to run"
    assert judge.problems("health-cannot-fail", compose(test)) == []
    assert judge.problems("health-empty", compose('["NONE"]')) == []
