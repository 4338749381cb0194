"""Each item both ways: what lets it pass, and what makes it fail and says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from launch_scene import DRILL, GOOD_TLS, HEADERS, HOST, MANIFEST, NOW, scene, with_server

from havre.checks.launch import ITEMS, Line, State, judge
from havre.errors import Problem
from havre.model.app import Needs
from havre.model.diagnosis import EdgeStatus, NameAnswer, Names, ReplicaFacts
from havre.model.health import HealthState, ProbeResult
from havre.model.launch import (
    ANYBODY,
    AppliedPolicy,
    Automation,
    Burst,
    Database,
    Firewall,
    Handshake,
    Inside,
    Kept,
    Login,
    Neighbour,
    Operators,
    Page,
    Startup,
    Trail,
    Watcher,
    WayBack,
    WebAnswer,
)
from havre.model.observed import ObservedReplica, ReplicaState
from havre.model.project import Build, Mount, MountKind, Port, Project, Service
from havre.model.server import Claim, FileFacts, Listener, System
from havre.model.units import GIB

Of = Callable[..., Line]
LISTENER = Listener(port=5432, address="0.0.0.0", pid=7, program="postgres")
DB = Service(name="db", image="postgres:16", mounts=(Mount(kind=MountKind.VOLUME, source="d", target="/data"),))


PUBLISHED = replace(LISTENER, program="docker-proxy")
OWN_PORT = Claim(instance="shop", kind="port", value="0.0.0.0:5432/tcp", detail="db")
OPEN = Firewall(is_active=False)
WEB = Service(name="web", image="x", environment=(("JWT_SECRET", "f3a9c1d27be4f3a9c1d27be4"),))
GIVEN = Project(name="shop", services=(WEB,))
PLACEHOLDER = Project(name="shop", services=(replace(WEB, environment=(("JWT_SECRET", "changeme"),)),))
BUILT = Project(name="shop", services=(replace(WEB, build=Build(context=".")),))
REACHABLE = Project(name="shop", services=(replace(DB, ports=(Port(target=5432, published="5432"),)),))


def given(**variables: str) -> Any:
    """The scene's facts, with a database that runs with these variables."""
    db = replace(DB, environment=tuple(variables.items()))
    return replace(scene().facts, project=Project(name="shop", services=(db,)))  # type: ignore[type-var]


def running(health: HealthState, log: str = '{"level": "INFO", "message": "up"}') -> Any:
    """The scene's facts, with one replica of `web`."""
    replica = ObservedReplica(service="web", slot=1, id="1", name="web-1", state=ReplicaState.RUNNING, release=2)
    one = ReplicaFacts(replica=replica, probe=ProbeResult(state=health, asked="GET /"), lines=((NOW, log),))
    return replace(scene().facts, replicas=(one,))  # type: ignore[type-var]


def wants(published: str) -> Any:
    """The case of a good scene whose app publishes a port that somebody holds."""
    web = replace(WEB, ports=(Port(target=80, published=published),))
    case = with_server(listeners=(replace(LISTENER, port=int(published)),))
    return replace(case, project=Project(name="shop", services=(web,)))


def too_small() -> Any:
    """The case of a good scene, on a server with less than the app needs."""
    case = with_server(memory_total=GIB)
    return replace(case, app=replace(case.app, needs=Needs(memory=4 * GIB)))


def in_git(**files: Any) -> Any:
    """The case of a good scene, in a git work tree with other files."""
    return replace(scene().case, files=FileFacts(is_complete=True, in_git=True, **files))


def test_in_a_good_scene_nothing_fails_and_every_item_has_a_state_with_a_reason_or_evidence() -> None:
    found = judge(scene(), ITEMS)
    failed = [(one.item.id, [str(problem) for problem in one.problems]) for one in found.lines if one.problems]
    # No replica of anything is in the scene's facts, so what asks replicas has nothing to fail about.
    assert failed == []
    assert len(found.lines) == len(ITEMS)


AS_IT_IS = (
    "certificates", "tls-works", "https-everywhere", "tls-quality", "security-headers", "cors-strict", "rate-limit",
    "api-answers", "dns", "proxy", "ports-free", "firewall", "ports-closed", "server-ports", "backups",
    "restore-drill", "backups-encrypted", "schedules", "row-level-security", "database-roles", "audit-log",
    "services-run", "log-bounds", "reboot", "rollback", "cpu-only", "server", "monitoring", "security-updates",
    "intrusion", "secrets-out-of-git", "default-logins", "environments-apart", "status-page",
)  # fmt: skip
"""What passes in the good scene."""

PASSES: dict[str, dict[str, Any]] = {
    **{item: {} for item in AS_IT_IS},
    "clock": {},
    "operators": {"operators": Operators(socket="/run/docker.sock", group="docker", users=("anna",), admins=("anna",))},
    "database-tls": {"databases": (Database(service="db", ssl=True),), "project": REACHABLE},
    "passwords": {"facts": given(POSTGRES_PASSWORD="f3a9c1d27be4f3a9c1d27be4")},
    "secrets-generated": {"project": GIVEN},
    "secrets-sealed": {"project": GIVEN, "manifest": f"{MANIFEST}secrets: [JWT_SECRET]\n"},
    "key-rotation": {"project": GIVEN, "sealed": (("JWT_SECRET", "generated", NOW - 86400),)},
    "monitoring-private": {"project": Project(name="shop", services=(Service(name="p", image="prom/prometheus:2"),))},
    "alerting": {"watchers": (Watcher(name="alertmanager", place="x", answers=True),)},
    "health-checks": {"project": GIVEN, "facts": running(HealthState.HEALTHY)},
    "logs-readable": {"project": GIVEN, "facts": running(HealthState.HEALTHY)},
}  # fmt: skip
"""What each item passes with: what is changed of the good scene."""


@pytest.mark.parametrize("item", PASSES)
def test_what_is_in_order_passes_with_evidence(line: Of, item: str) -> None:
    found = line(item, **PASSES[item])
    assert found.state is State.PASSED, found
    assert found.evidence
    assert found.confirmed_at == NOW


FAILURES: list[tuple[str, dict[str, Any], str]] = [
    ("certificates", {"handshakes": (replace(GOOD_TLS, days_left=3.0),)}, "ends in 3 days"),
    ("certificates", {"handshakes": (replace(GOOD_TLS, days_left=-1.0),)}, "has expired"),
    ("certificates", {"handshakes": (replace(GOOD_TLS, trusted=False, distrust="self-signed"),)}, "do not trust"),
    ("certificates", {"handshakes": (Handshake(host=HOST, error="refused"),)}, "nothing answers with TLS"),
    ("tls-works", {"handshakes": (Handshake(host=HOST, error="refused"),)}, "nothing answers with TLS"),
    ("https-everywhere", {"answers": (WebAnswer(host=HOST, path="/", tls=False, status=200),)}, "without TLS (200)"),
    ("tls-quality", {"handshakes": (replace(GOOD_TLS, versions=("TLS 1.0", "TLS 1.2")),)}, "still speaks TLS 1.0"),
    ("tls-quality", {"handshakes": (replace(GOOD_TLS, weak=("RSA_RC4_128_MD5",)),)}, "weak cipher suites"),
    ("tls-quality", {"handshakes": (replace(GOOD_TLS, key="RSA 1024"),)}, "its key is short (RSA 1024)"),
    ("tls-quality", {"handshakes": (replace(GOOD_TLS, signature="sha1"),)}, "signed with sha1"),
    ("tls-quality", {"answers": (WebAnswer(host=HOST, path="/", tls=True, status=200),)}, "Strict-Transport-Security"),
    ("security-headers", {"answers": (WebAnswer(host=HOST, path="/", tls=True, status=200, headers=HEADERS[:2]),)},
     "lacks X-Frame-Options (or frame-ancestors in a Content-Security-Policy), Referrer-Policy"),
    ("cors-strict", {"origins": (WebAnswer(host=HOST, path="/", tls=True, status=200,
                                           headers=(("access-control-allow-origin", "*"),)),)}, "pages of any site"),
    ("rate-limit", {"bursts": (Burst(route=f"{HOST}/", limit="10/minute", sent=12),)}, "12 requests at once were all"),
    ("api-answers", {"answers": (WebAnswer(host=HOST, path="/", tls=True, status=503),)}, "it is answered 503"),
    ("api-answers", {"promises": ("GET /health of x: status 500 instead of 200",)}, "status 500 instead of 200"),
    ("dns", {"findings": (Problem(summary="it leads elsewhere", hint="x", code="doctor-dns"),)}, "leads elsewhere"),
    ("firewall", {"firewall": Firewall(is_active=False, by="nftables")}, "no firewall refuses anything"),
    ("ports-closed", {"case": with_server(listeners=(LISTENER,), claims=(OWN_PORT,)), "firewall": OPEN},
     "port 5432 is reachable from everywhere"),
    ("ports-closed", {"case": with_server(listeners=(PUBLISHED,), claims=(OWN_PORT,))}, "port 5432"),
    ("server-ports", {"case": with_server(listeners=(LISTENER,)), "firewall": OPEN}, "port 5432 is reachable"),
    ("server-ports", {"case": with_server(listeners=(PUBLISHED,))}, "port 5432"),
    ("default-logins", {"logins": (Login(service="grafana", way="admin with its first password", is_open=True),)},
     "it lets in admin with its first password"),
    ("key-rotation", {"project": GIVEN, "sealed": (("JWT_SECRET", "generated", NOW - 400 * 86400),)},
     "JWT_SECRET has been the same for more than 365 days"),
    ("environments-apart", {"neighbours": (Neighbour(instance="shop-staging", shared=("JWT_SECRET",)),)},
     "shop-staging has the same value of JWT_SECRET"),
    ("alerting", {"watchers": (Watcher(name="alertmanager", place="x", answers=False, detail="refused"),)},
     "it does not answer"),
    ("status-page", {"pages": (Page(key="status_page", place="https://x.org", problem="it answers 404"),)},
     "https://x.org cannot be found"),
    ("status-page", {"pages": (Page(key="status_page", place=f"https://{HOST}/status"),)}, "by this very server"),
    ("runbook", {"pages": (Page(key="runbook", place="/srv/runbook", problem="not there"),)}, "cannot be found"),
    ("documentation", {"pages": (Page(key="documentation", place="/srv/x", problem="not there"),)}, "cannot be found"),
    ("security-updates", {"startup": Startup(updates="unattended-upgrades", awaits_reboot=True)}, "waits for a reboot"),
    ("security-updates", {"startup": Startup(updates="unattended-upgrades", updated=NOW - 30 * 86400)},
     "has done nothing for 30 d"),
    ("intrusion", {"startup": Startup(attempts=412)}, "412 logins to this server failed within a day"),
    ("database-tls", {"databases": (Database(service="db"),), "project": REACHABLE}, "without TLS"),
    ("secrets-out-of-git", {"case": in_git(tracked=frozenset({"/srv/shop/a.db"}))}, "git tracks a.db"),
    ("secrets-generated", {"project": PLACEHOLDER}, "is a placeholder"),
    ("health-checks", {"project": PLACEHOLDER}, "no replica runs"),
    ("health-checks", {"project": GIVEN, "facts": running(HealthState.UNHEALTHY)}, "its health check says unhealthy"),
    ("logs-readable", {"project": BUILT, "facts": running(HealthState.HEALTHY, "it is up")}, "state a level"),
    ("passwords", {"facts": given(POSTGRES_PASSWORD="admin123")}, "POSTGRES_PASSWORD is a well-known default"),
    ("secrets-sealed", {"project": GIVEN}, "1 secrets lie in files in the clear"),
    ("audit-log", {"trail": Trail()}, "the audit log knows nothing of this app"),
    ("ports-free", {"case": wants(published="80")}, "is held by pid 7"),
    ("server", {"case": too_small()}, "the app needs 4 GiB of memory"),
    ("clock", {"case": with_server(system=System(clock_in_step=False))}, "nothing keeps this server's clock in step"),
    ("operators", {"operators": Operators(socket="/run/docker.sock", group="docker", is_open_to_all=True)},
     "everybody with an account on this server may use /run/docker.sock"),
    ("proxy", {"facts": replace(scene().facts, edge=EdgeStatus())}, "does not know all routes"),  # type: ignore[type-var]
    ("monitoring-private", {"case": with_server(listeners=(replace(LISTENER, port=9090, program="docker-proxy"),))},
     "port 9090"),
    ("backups", {"automations": ()}, "nothing runs it"),
    ("backups", {"kept": (Kept(service="db", schedule="0 2 * * *", problems=("there is no good backup",)),)},
     "there is no good backup"),
    ("backups", {"project": Project(name="shop", services=(replace(DB, name="other"),))}, "nothing says when"),
    ("restore-drill", {"kept": (Kept(service="db", schedule="0 2 * * *", newest="db-1"),)}, "nobody ever restored"),
    ("restore-drill", {"kept": (Kept(service="db", schedule="0 2 * * *", drill_at=NOW, drill_passed=False,
                                     problems=("its last restore drill failed",)),)}, "its last restore drill failed"),
    ("backups-encrypted", {"escrowed": False}, "nowhere but on this server"),
    ("schedules", {"automations": (Automation(place="/etc/cron.d/x", schedule="", command=DRILL),)}, "its backup is"),
    ("row-level-security", {"databases": (Database(service="db", tables=(("public.a", True), ("public.b", False))),)},
     "off on 1 of 2 tables"),
    ("database-roles", {"databases": (Database(service="db", users=(("postgres", True),)),)}, "superuser postgres"),
    ("log-bounds", {"policies": (AppliedPolicy(service="web", slot=1, log_driver="json-file"),)}, "grows without end"),
    ("reboot", {"policies": (AppliedPolicy(service="web", slot=1, log_driver="local"),)}, "stays down after a reboot"),
    ("reboot", {"automations": ()}, "nothing brings the edge"),
    ("reboot", {"startup": Startup(init="systemd", docker_enabled=False)}, "Docker is not started at boot"),
    ("rollback", {"way_back": WayBack(number=1, missing=("image of web: shop/web:1",))}, "cannot be brought back"),
    ("cpu-only", {"inside": (Inside(service="web", frameworks=("torch-2.1.0",), accelerators=("libcudart.so.12",)),)},
     "carries GPU libraries"),
    ("monitoring", {"watchers": (Watcher(name="prometheus", place="x", answers=False, detail="refused"),)},
     "it does not answer"),
    ("services-run", {"facts": None}, "nothing was deployed yet"),
]  # fmt: skip


@pytest.mark.parametrize(("item", "changed", "said"), FAILURES)
def test_what_is_wrong_fails_and_says_what_and_what_to_do(line: Of, item: str, changed: Any, said: str) -> None:
    found = line(item, **changed)
    assert found.state is State.FAILED, found
    assert any(said in problem.summary for problem in found.problems), found.problems
    assert all(found.hints)


def test_a_page_of_another_site_that_may_come_with_cookies_is_the_worse_case(line: Of) -> None:
    headers = (
        ("access-control-allow-origin", "https://havre-probe.invalid"),
        ("access-control-allow-credentials", "true"),
    )
    found = line("cors-strict", origins=(WebAnswer(host=HOST, path="/", tls=True, headers=headers),))
    assert "with the visitor’s cookies" in found.problems[0].summary


def test_an_own_origin_is_strict(line: Of) -> None:
    headers = (("access-control-allow-origin", "https://shop.example.org"),)
    assert (
        line("cors-strict", origins=(WebAnswer(host=HOST, path="/", tls=True, headers=headers),)).state is State.PASSED
    )


def test_a_backup_of_another_app_or_environment_does_not_count(line: Of) -> None:
    other = DRILL.replace("drill restore", "backup take").replace("/srv/shop/", "/srv/other/")
    staging = DRILL.replace("drill restore", "backup take").replace("production", "staging")
    for command in (other, staging):
        found = line("backups", automations=(Automation(place="/etc/cron.d/x", schedule="0 2 * * *", command=command),))
        assert found.state is State.FAILED


def test_a_timer_that_nothing_starts_does_not_count(line: Of) -> None:
    dead = tuple(replace(one, runs=False) for one in scene().automations)
    assert line("schedules", automations=dead).state is State.FAILED
    assert line("reboot", automations=dead).state is State.FAILED


def test_a_firewall_hides_programs_and_not_what_docker_publishes(line: Of) -> None:
    assert line("server-ports", case=with_server(listeners=(LISTENER,))).state is State.PASSED
    assert line("server-ports", case=with_server(listeners=(PUBLISHED,))).state is State.FAILED


def test_an_app_answers_for_its_own_ports_and_not_for_those_of_others(line: Of) -> None:
    other = with_server(listeners=(PUBLISHED,), claims=(replace(OWN_PORT, instance="blog"),))
    assert line("ports-closed", case=other).state is State.PASSED
    assert line("server-ports", case=other).problems[0].subject == "blog"


def test_the_edge_and_ssh_are_meant_for_everybody(line: Of) -> None:
    meant = with_server(listeners=tuple(replace(LISTENER, port=port) for port in (22, 80, 443)))
    assert line("server-ports", case=meant, firewall=OPEN).state is State.PASSED


def test_without_a_password_only_what_others_reach_is_let_in_too_easily(line: Of) -> None:
    anybody = (Login(service="db", way=ANYBODY, is_open=True),)
    assert line("default-logins", logins=anybody, project=Project(name="shop", services=(DB,))).state is State.PASSED
    assert line("default-logins", logins=anybody, project=REACHABLE).state is State.FAILED
    unasked = (Login(service="db", way=ANYBODY, error="psql: not found"),)
    assert line("default-logins", logins=unasked).state is State.UNSEEN


def test_the_age_of_a_secret_in_a_file_only_a_person_knows(line: Of) -> None:
    young = (("JWT_SECRET", "generated", NOW - 86400),)
    assert line("key-rotation", project=GIVEN, sealed=young).state is State.PASSED
    assert line("key-rotation", project=GIVEN).state is State.PERSON


def test_what_nobody_names_or_runs_is_asked(line: Of) -> None:
    for item in ("status-page", "runbook", "documentation"):
        assert line(item, pages=()).state is State.PERSON
    assert line("environments-apart", neighbours=()).state is State.PERSON
    assert line("security-updates", startup=Startup()).state is State.PERSON
    assert line("intrusion", startup=Startup(attempts=3)).state is State.PERSON


PEOPLE = {"external-monitor", "firewall-web", "team-trained"}
"""What no server can see either side of."""

ASKED = {"documentation", "runbook"}
"""Whether these are right a person says; that they are gone, the server sees."""


def test_every_item_that_a_server_can_judge_is_shown_from_both_sides() -> None:
    judged = {item.id for item in ITEMS} - PEOPLE
    assert judged - {item for item, _, _ in FAILURES} == set()
    assert judged - set(PASSES) - ASKED == set()


def test_row_level_security_is_beside_the_point_where_nobody_asks_tables(line: Of) -> None:
    bare = (Database(service="db", tables=(("public.a", False),)),)
    found = line("row-level-security", databases=bare)
    assert found.state is State.NOT_APPLICABLE
    handing = Service(name="rest", image="postgrest/postgrest:v12")
    assert (
        line("row-level-security", databases=bare, project=Project(name="shop", services=(handing,))).state
        is State.FAILED
    )


def test_gpu_libraries_are_right_where_a_gpu_is_reserved(line: Of) -> None:
    service = Service(
        name="web", image="x", options=(("deploy.resources.reservations.devices", "[{'driver': 'nvidia'}]"),)
    )
    inside = (Inside(service="web", frameworks=("torch-2.1.0",), accelerators=("libcudart.so.12",)),)
    assert line("cpu-only", inside=inside, project=Project(name="shop", services=(service,))).state is State.PASSED


def test_the_first_release_has_no_way_back_and_that_is_no_failure(line: Of) -> None:
    found = line("rollback", way_back=None)
    assert found.state is State.NOT_APPLICABLE
    assert "is the first" in found.reason


def test_names_of_this_machine_need_no_dns_and_no_public_authority(line: Of) -> None:
    local = 'app: shop\nroutes: [{host: shop.localhost, to: "web:80"}]'
    tls = replace(GOOD_TLS, host="shop.localhost", trusted=False, distrust="self-signed certificate")
    assert line("dns", local, facts=named()).state is State.NOT_APPLICABLE
    assert line("certificates", local, handshakes=(tls,)).state is State.PASSED


def named(*answers: NameAnswer, own: tuple[str, ...] = ("51.91.1.2",), is_certain: bool = True) -> Any:
    """The scene's facts, with these answers of DNS."""
    facts = scene().facts
    assert facts is not None
    return replace(facts, names=Names(answers=answers, own=own, is_certain=is_certain))


def test_names_are_judged_by_what_the_doctor_found_in_dns(line: Of) -> None:
    elsewhere = Problem(summary="shop.example.org leads to 9.9.9.9", hint="change its record", code="doctor-dns")
    strange = named(NameAnswer(host=HOST, addresses=("9.9.9.9",)))
    assert line("dns", facts=strange, findings=(elsewhere,)).state is State.FAILED
    silent = named(NameAnswer(host=HOST, problem="resolver", detail="10.0.0.1: no answer within 2 s"))
    assert line("dns", facts=silent).state is State.PERSON


def test_behind_nat_the_certificate_or_a_person_says_whether_a_name_leads_here(line: Of) -> None:
    behind = named(NameAnswer(host=HOST, addresses=("9.9.9.9",)), own=("10.0.0.4",), is_certain=False)
    assert line("dns", facts=behind).state is State.PERSON
    assert line("dns", facts=behind, reached=(HOST,)).state is State.PASSED


def test_a_weak_password_is_never_shown(line: Of) -> None:
    for weak in ("admin123", "CHANGE_ME_NOW", "short"):
        found = line("passwords", facts=given(POSTGRES_PASSWORD=weak))
        assert found.state is State.FAILED
        assert weak not in "".join(map(str, found.problems)).replace("shorter", "")


def test_secrets_that_lie_in_files_are_not_in_a_secrets_manager(line: Of) -> None:
    web = Service(name="web", image="x", environment=(("JWT_SECRET", "f3a9c1d27be4f3a9c1d27be4"),))
    project = Project(name="shop", services=(web,))
    bare = line("secrets-sealed", project=project)
    assert bare.state is State.FAILED
    assert bare.problems[0].evidence == ("JWT_SECRET",)
    assert line("secrets-sealed", f"{MANIFEST}secrets: [JWT_SECRET]\n", project=project).state is State.PASSED


def test_a_service_of_which_nothing_runs_has_no_passing_health_check(line: Of) -> None:
    found = line("health-checks", project=Project(name="shop", services=(Service(name="web", image="x"),)))
    assert found.state is State.FAILED
    assert "no replica runs" in found.problems[0].summary


def test_a_limit_that_was_not_tried_is_asked_for_and_one_that_is_missing_fails(line: Of) -> None:
    skipped = (Burst(route=f"{HOST}/", limit="9000/minute", skipped="not tried"),)
    assert line("rate-limit", bursts=skipped).state is State.PERSON
    assert line("rate-limit", 'app: shop\nroutes: [{host: shop.example.org, to: "web:80"}]').state is State.FAILED
