"""What the diagnosis says of a shop with one fault: one finding per cause, with its evidence and its next command."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from diagnosed_shop import NOW, Shop, crashed, release, replica, stopped

from havre.checks.diagnosis import proposed_limit
from havre.errors import Severity
from havre.model.app import App
from havre.model.diagnosis import CertificateFact, Death, EdgeStatus, Fill
from havre.model.health import HealthState, ProbeResult
from havre.model.observed import ReplicaState
from havre.model.project import Attachment, Port, Resources
from havre.model.release import ReleaseState
from havre.model.route import AppEdge, Route, Upstream
from havre.model.server import Disk, ServerFacts, System

MIB, GIB = 1024**2, 1024**3
REFUSED = "Error: connect ECONNREFUSED db:5432"
ROUTE = Route(host="shop.example", path="/", service="web", port=3000)


def probe(state: HealthState, output: str, code: int | None = 1) -> ProbeResult:
    return ProbeResult(state=state, asked="wget -q localhost", output=output, exit_code=code)


def edge(*upstreams: Upstream, running: bool = True) -> EdgeStatus:
    applied = AppEdge(instance="shop", routes=(ROUTE,), upstreams=((("web", 3000), upstreams),))
    return EdgeStatus(is_running=running, entrance="127.0.0.1:80", applied=applied)


WEB_1 = Upstream(name="web.1", address="172.18.0.2", port=3000)


def test_a_healthy_shop_has_no_finding(shop: Shop) -> None:
    assert shop.problems(edge=edge(WEB_1)) == ()


def test_a_memory_kill_is_no_crash_and_proposes_a_limit(shop: Shop) -> None:
    shop.change("api", resources=Resources(memory=384 * MIB))
    deaths = tuple(Death(at=NOW - 600 + 250 * n, exit_code=137, oom=True) for n in range(3))
    shop.put(crashed("api", "starting", code=137, restarts=3, oom_killed=True, deaths=deaths))
    found = shop.one()
    assert found.summary == "was killed by the kernel: out of memory, 3 times in 8 min 20 s"
    assert found.evidence == ("peak 384 MiB of 384 MiB", "restarting, exit code 137: it was killed, 3 restarts")
    assert "`mem_limit: 512m`" in found.hint


def test_a_child_killed_for_memory_is_told_though_the_replica_runs(shop: Shop) -> None:
    shop.change("api", resources=Resources(memory=128 * MIB)).put(replica("api", kills=2))
    found = shop.one()
    assert found.summary == ("a process inside was killed by the kernel: out of memory, 2 times since it was started")
    assert "`mem_limit: 192m`" in found.hint


def test_without_a_limit_the_server_itself_was_out_of_memory(shop: Shop) -> None:
    shop.put(crashed("api", "x", code=137, oom_killed=True))
    assert "the server itself had no memory left" in str(shop.one())


@pytest.mark.parametrize(("before", "after"), [(384, 512), (96, 128), (100, 192), (1024, 1536), (40_000, 53_333)])
def test_a_proposed_limit_is_a_third_more_and_a_usual_size(before: int, after: int) -> None:
    assert proposed_limit(before * MIB) // MIB == after


def test_a_restart_loop_names_the_class_and_the_line(shop: Shop) -> None:
    shop.put(crashed("api", "starting", "KeyError: 'JWT_SECRET'"))
    found = shop.one()
    assert found.summary == ("restarts again and again: 12 restarts; probably missing environment variable JWT_SECRET")
    assert found.evidence == ("log: KeyError: 'JWT_SECRET'",)
    assert "havre secrets set JWT_SECRET" in found.hint


def test_a_loop_of_unknown_cause_shows_its_last_lines(shop: Shop) -> None:
    shop.put(crashed("api", "one", "two", "three", "four"))
    assert shop.one().evidence == ("last log lines:", "  two", "  three", "  four")
    shop.put(crashed("api"))
    assert shop.one().evidence == ("it wrote no log line",)


def test_old_restarts_of_a_replica_that_stays_up_are_no_loop(shop: Shop) -> None:
    shop.put(replica("api", restarts=9, age=4000))
    assert shop.problems() == ()
    shop.put(replica("api", restarts=9, age=20))
    assert "restarts again and again" in shop.one().summary


def test_several_replicas_with_one_trouble_are_one_finding(shop: Shop) -> None:
    shop.put(*(crashed("api", "KeyError: 'JWT_SECRET'", slot=slot) for slot in (1, 2, 3)))
    assert shop.one().subject == "api.1, api.2, api.3"


def test_a_stopped_service_explains_those_that_need_it(shop: Shop) -> None:
    shop.put(stopped("db"), crashed("api", REFUSED))
    found = shop.one()
    assert found.subject == "db.1"
    assert found.summary.startswith("is stopped (exited, exit code 0")
    assert found.effect == "api.1: cannot work with db (connection refused)"
    assert found.hint == "`havre start db`"


def test_blame_goes_to_the_end_of_the_chain(shop: Shop) -> None:
    unwell = probe(HealthState.UNHEALTHY, "connection refused")
    shop.put(
        stopped("db"),
        replica("api", lines=(REFUSED,), probe=unwell),
        replica("web", lines=("connect ECONNREFUSED api:8000",), probe=unwell),
    )
    found = shop.one()
    assert found.subject == "db.1"
    assert "api.1: cannot work with db" in found.effect
    assert "web.1: cannot work with api" in found.effect


def test_a_healthy_replica_that_complained_before_is_left_alone(shop: Shop) -> None:
    shop.put(replica("api", lines=(REFUSED,)))
    assert shop.problems() == ()


def test_a_complaint_about_a_full_database_is_dropped_when_it_is_over(shop: Shop) -> None:
    shop.put(replica("api", lines=("FATAL:  sorry, too many clients already",)))
    assert shop.problems() == ()
    full_now = Fill(service="db", kind="postgres", used=100, limit=100, by=(("172.18.0.9", 100),))
    found = shop.one(fills=(full_now,))
    assert found.subject == "db"
    assert "api.1: cannot work with db" in found.effect
    assert "havre restart" not in found.hint, "an address is no service"


def test_a_wrong_port_is_told_with_the_right_one(shop: Shop) -> None:
    shop.put(replica("db", listens=(("0.0.0.0", 5433),)), crashed("api", REFUSED))
    found = shop.one()
    assert found.summary == "calls db on port 5432, where nothing listens"
    assert "db.1 listens on 0.0.0.0:5433" in found.evidence
    assert found.hint.startswith("call it on port 5433")


def test_a_server_that_listens_inside_itself_only_is_told_so(shop: Shop) -> None:
    shop.put(replica("db", listens=(("127.0.0.1", 5432),)), crashed("api", REFUSED))
    assert shop.one().summary == "cannot reach db: it listens on 127.0.0.1:5432 only, inside itself"


def test_services_without_a_shared_network_are_told_so(shop: Shop) -> None:
    shop.change("db", networks=(Attachment(network="other"),))
    shop.put(crashed("api", "Error: getaddrinfo ENOTFOUND db"))
    found = shop.one()
    assert found.summary == "cannot reach db: the two share no network"
    assert "networks of api: inner" in found.evidence
    assert "networks of db: other" in found.evidence


def test_a_name_that_no_service_has_is_told_with_the_nearest(shop: Shop) -> None:
    shop.put(crashed("api", "Error: getaddrinfo ENOTFOUND dbb"))
    found = shop.one()
    assert found.summary.startswith("looks for the host `dbb`")
    assert "did you mean `db`?" in found.hint


def test_passwords_that_differ_are_named_and_not_shown(shop: Shop) -> None:
    url = (("DATABASE_URL", "postgres://app:other-pw-2@db:5432/app"),)
    shop.change("api", environment=url).put(crashed("api", 'password authentication failed for user "app"'))
    found = shop.one()
    assert found.summary == "api and db disagree about the password"
    assert "pw-" not in str(found)


def test_passwords_that_agree_point_to_the_first_start(shop: Shop) -> None:
    shop.put(crashed("api", 'password authentication failed for user "app"'))
    found = shop.one()
    assert found.summary == "is not let in by db: wrong user or password"
    assert "`havre secrets rotate POSTGRES_PASSWORD`" in found.hint
    assert "state: restarts again and again: 12 restarts; probably wrong password" in found.evidence


def test_a_database_that_still_starts_is_waited_for(shop: Shop) -> None:
    starting = probe(HealthState.STARTING, "no response", None)
    young = replica("db", age=8, lines=("running initdb",), probe=starting)
    shop.put(young, crashed("api", REFUSED))
    found = next(problem for problem in shop.problems() if problem.code == "doctor-initialising")
    assert found.summary == "waits for db, which is still initialising"
    assert "db.1 was started 8 s ago" in found.evidence


def test_a_failing_health_check_is_shown_as_it_answered(shop: Shop) -> None:
    shop.put(replica("web", probe=probe(HealthState.UNHEALTHY, "wget: not found", 127)))
    found = shop.one()
    assert found.summary == "runs, and its health check fails"
    assert found.evidence == ("health check: wget -q localhost (exit code 127)", "  wget: not found")


def test_a_check_that_cannot_fail_is_a_warning(shop: Shop) -> None:
    shop.put(replica("web", probe=probe(HealthState.UNVERIFIED, "NOAUTH Authentication required.", 0)))
    found = shop.one()
    assert found.severity is Severity.WARNING
    assert "cannot fail" in found.summary
    assert "  NOAUTH Authentication required." in found.evidence


def test_a_missing_replica_is_told(shop: Shop) -> None:
    shop.replicas["web"] = ()
    assert shop.one().summary == "has no replica"


def test_a_failed_release_is_told_with_its_cause_while_the_old_one_serves(shop: Shop) -> None:
    failed = replica(
        "web", lines=("KeyError: 'JWT_SECRET'",), slot=2, release=2, state=ReplicaState.EXITED, exit_code=3, probe=None
    )
    shop.put(replica("web"), failed)
    found = shop.one(last=release(2, ReleaseState.UNDONE))
    assert found.subject == "web.2"
    assert "failed in release 2 (exit code 3)" in found.summary
    assert "missing environment variable JWT_SECRET; release 1 serves" in found.summary
    assert found.severity is Severity.WARNING


def test_a_failed_release_that_left_nothing_behind_points_to_its_record(shop: Shop) -> None:
    found = shop.one(last=release(2, ReleaseState.FAILED, result="build failed"))
    assert found.evidence == ("build failed",)
    assert "`havre releases 2`" in found.hint


def full(free: int) -> dict[str, Any]:
    disk = Disk(purpose="state", path="/var/lib/havre", total=100 * GIB, free=free)
    return {"server": ServerFacts(disks=(disk,))}


def test_a_full_disk_comes_before_everything_else(shop: Shop) -> None:
    shop.put(crashed("db", "No space left on device"))
    first, second = shop.problems(**full(100 * MIB))
    assert first.summary == "the disk of /var/lib/havre is full"
    assert second.subject == "db.1"
    assert shop.problems(**full(5 * GIB))[-1].summary == "the disk of /var/lib/havre is nearly full"


def test_an_edge_that_does_not_run_is_the_first_cause(shop: Shop) -> None:
    found = shop.one(edge=edge(WEB_1, running=False))
    assert found.summary == "the edge does not run"
    assert "`havre edge restart`" in found.hint


def test_a_route_to_nothing_belongs_to_the_service_that_is_down(shop: Shop) -> None:
    assert shop.one(edge=edge()).summary == "the edge has no replica of web to lead to"
    shop.put(stopped("web"))
    found = shop.one(edge=edge())
    assert found.subject == "web.1"
    assert "the edge has no replica of web" in found.effect


def test_a_route_to_a_port_where_nothing_listens_names_the_right_one(shop: Shop) -> None:
    shop.put(replica("web", listens=(("0.0.0.0", 8080),)))
    found = shop.one(edge=edge(WEB_1))
    assert found.summary == "the edge leads to web on port 3000, where nothing listens"
    assert "`to: web:8080`" in found.hint


def test_routes_that_the_edge_does_not_know_are_told(shop: Shop) -> None:
    found = shop.one(app=App(name="shop", routes=(ROUTE,)), edge=EdgeStatus())
    assert found.summary == "the edge knows none of the app's routes"


@pytest.mark.parametrize(
    ("days", "said", "severity"),
    [
        (-1.0, "has expired", Severity.ERROR),
        (None, "does not exist", Severity.ERROR),
        (9.0, "ends in 9 days", Severity.WARNING),
    ],
)
def test_a_certificate_is_told_in_time(shop: Shop, days: float | None, said: str, severity: Severity) -> None:
    fact = CertificateFact(hosts=("shop.example",), kind="acme", days_left=days, problem="DNS points elsewhere")
    found = shop.one(certificates=(fact,))
    assert found.summary == f"the certificate of shop.example {said}"
    assert found.evidence == ("last try: DNS points elsewhere",)
    assert found.severity is severity


def test_a_certificate_with_time_left_is_no_finding(shop: Shop) -> None:
    assert shop.problems(certificates=(CertificateFact(hosts=("a",), kind="own", days_left=60.0),)) == ()


def test_connections_are_told_with_who_holds_them(shop: Shop) -> None:
    fill = Fill(service="db", kind="postgres", used=98, limit=100, by=(("api", 90), ("local", 8)))
    found = shop.one(fills=(fill,))
    assert found.summary == "98 of 100 connections are taken"
    assert found.evidence == ("held by: api 90, local 8",)
    assert found.severity is Severity.ERROR
    assert shop.problems(fills=(Fill(service="db", kind="postgres", used=50, limit=100),)) == ()


def test_a_database_without_any_connection_left_explains_who_is_refused(shop: Shop) -> None:
    shop.put(crashed("api", "FATAL:  sorry, too many clients already"))
    refusal = Fill(service="db", kind="postgres", used=0, limit=0, policy="sorry, too many clients already")
    found = shop.one(fills=(refusal,))
    assert found.summary == "no connection is left"
    assert "api.1: cannot work with db" in found.effect


def test_a_full_redis_says_what_follows_from_its_policy(shop: Shop) -> None:
    fill = Fill(service="db", kind="redis", used=64 * MIB, limit=64 * MIB, policy="noeviction")
    found = shop.one(fills=(fill,))
    assert found.effect == "writes are refused when it is full"
    assert found.severity is Severity.ERROR


def test_memory_near_the_limit_is_a_warning(shop: Shop) -> None:
    shop.put(replica("api", memory=125 * MIB, memory_limit=128 * MIB))
    assert shop.one().summary == "uses 125 MiB of its 128 MiB"


def test_a_database_open_to_everybody_is_told(shop: Shop) -> None:
    shop.change("db", ports=(Port(target=5432, published="5432"),))
    found = shop.one()
    assert found.summary == "port 5432 of db is open to everybody"
    assert '"127.0.0.1:5432:5432"' in found.hint
    shop.change("db", ports=(Port(target=5432, published="5432", host_ip="127.0.0.1"),))
    assert shop.problems() == ()


@pytest.mark.parametrize(
    ("systemd", "hint"), [(True, "`havre boot install`"), (False, "`(crontab -l; havre boot cron) | crontab -`")]
)
def test_a_server_that_a_reboot_ends_is_told_of_with_the_one_command(shop: Shop, systemd: bool, hint: str) -> None:
    (found,) = shop.problems(comes_back=False, has_systemd=systemd)
    assert (found.summary, found.severity) == (
        "nothing brings this server's apps back after a reboot",
        Severity.NOTE,
    )
    assert hint in found.hint
    assert shop.problems(comes_back=True) == ()
    assert shop.problems(comes_back=False, serving=None) == ()


def test_a_clock_is_told_of_when_it_may_drift_and_louder_when_it_went_back(shop: Shop) -> None:
    (drifts,) = shop.problems(server=ServerFacts(system=System(clock_in_step=False)))
    assert (drifts.code, drifts.severity) == ("doctor-clock", Severity.NOTE)
    (went_back,) = shop.problems(last=replace(release(), number=7, started_at=NOW + 7200))
    assert went_back.severity is Severity.WARNING
    assert went_back.summary == "this server's clock went back by 2 h or more"
    assert went_back.evidence == ("release 7 began 2 h from now, by this clock",)


def test_an_engine_that_a_reboot_ends_is_told_of(shop: Shop) -> None:
    (found,) = shop.problems(engine_at_boot=False)
    assert (found.code, found.hint) == ("doctor-engine-boot", "`sudo systemctl enable docker`")
    assert shop.problems(engine_at_boot=True) == shop.problems(engine_at_boot=None) == ()


def test_a_line_of_a_procfile_is_told_where_its_limit_goes(shop: Shop) -> None:
    shop.put(replica("api", memory=99 * MIB, memory_limit=100 * MIB))
    (found,) = shop.problems(processes=frozenset({"api"}))
    assert "raise `mem_limit` of api" not in found.hint
    assert "`mem_limit` (under its name in a compose.yaml beside the Procfile, which" in found.hint
    named = App(name="shop", compose=("Procfile", "more.yaml"))
    (found,) = shop.problems(processes=frozenset({"api"}), app=named)
    assert found.hint.startswith("raise `mem_limit` (under its name in more.yaml) of api, then `havre deploy`")


def test_one_service_is_told_with_what_explains_it_and_nothing_else(shop: Shop) -> None:
    shop.put(stopped("db"), crashed("api", REFUSED), crashed("web", "KeyError: 'SESSION_KEY'"))
    assert [problem.subject for problem in shop.problems()] == ["web.1", "db.1"]
    assert [problem.subject for problem in shop.problems(only="api")] == ["db.1"]
    assert [problem.subject for problem in shop.problems(only="web")] == ["web.1"]


def test_an_app_that_was_taken_down_has_no_finding(shop: Shop) -> None:
    shop.replicas = dict.fromkeys(shop.services, ())
    assert shop.problems(serving=None, last=release(3, ReleaseState.SUPERSEDED)) == ()


def test_every_hint_names_a_command_or_a_thing_to_write(shop: Shop) -> None:
    shop.put(stopped("db"), crashed("web", "KeyError: 'SESSION_KEY'"), crashed("api", "x", oom_killed=True))
    for problem in shop.problems(**full(GIB), edge=edge(running=False)):
        assert "`" in problem.hint, problem
        assert problem.code.startswith("doctor-")
