"""What the manifest says of services, what keeps them well, and how a report counts, waives and sorts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from havre.checks.case import Case, Check
from havre.checks.registry import ALL, FAMILIES, check_called
from havre.checks.report import run_checks
from havre.compose import LoadRequest, load_project
from havre.compose.lower import lower
from havre.errors import Problem, Severity
from havre.manifest import load_app
from havre.model.app import App
from havre.model.images import image_name, image_tag
from havre.model.observed import Observed, ObservedImage
from havre.model.project import Project
from havre.model.server import PathFact, VariableFact

EXAMPLE = Path(__file__).parents[3] / "examples/lexikon"
SHOP = """\
services:
  web: {image: 'shop:1', expose: ['3000'], healthcheck: {test: [CMD, curl, -f, 'http://localhost:3000/']}}
  db: {image: 'postgres:16', environment: {POSTGRES_PASSWORD: x9}}
  seed: {image: 'shop:1', command: seed}
  worker: {image: 'shop:1', depends_on: {seed: {condition: service_completed_successfully}}, network_mode: none}
"""


def routes(*targets: str) -> str:
    lines = [f"- {{host: a.org, path: /{number}, to: '{target}'}}" for number, target in enumerate(targets)]
    return "\n".join(["app: shop", "routes:", *lines])


def test_services_the_manifest_names_must_exist(judge: Any) -> None:
    manifest = """\
app: shop
routes: [{host: a.org, to: 'wbe:3000'}, {host: b.org, redirect: 'https://a.org'}]
release: {migrate: {service: api, run: up, safeguard_services: [db, cache]}}
backups: {postgres: , db: }
processes: {zzz: run}
autoscale: {wob: {max: 2, cpu: 70}}
"""
    found = judge.problems("manifest-service", SHOP, manifest)
    assert [f"{one.at} {one.summary}; {one.hint}" for one in found] == [
        "havre.yaml:2:24 there is no service `wbe`; did you mean `web`?",
        "havre.yaml:3:21 there is no service `api`; the services are db, seed, web, worker",
        "havre.yaml:3:69 there is no service `cache`; the services are db, seed, web, worker",
        "havre.yaml:4:11 there is no service `postgres`; the services are db, seed, web, worker",
        "havre.yaml:5:13 there is no service `zzz`; the services are db, seed, web, worker",
        "havre.yaml:6:13 there is no service `wob`; did you mean `web`?",
    ]


def test_what_cannot_be_scaled_by_its_load_is_refused(judge: Any) -> None:
    compose = """\
services:
  web: {image: 'shop:1', mem_limit: 64m}
  db: {image: 'postgres:16', volumes: ['data:/var/lib/postgresql/data']}
volumes: {data: }
"""
    manifest = "app: shop\nautoscale: {web: {max: 3, cpu: 70, memory: 80}, db: {max: 2, memory: 80}}\n"
    assert [one.summary for one in judge.problems("autoscale", compose, manifest)] == [
        "db cannot have more than one replica: the volume that it writes is for one alone",
        "autoscale aims at a share of db's memory limit, and it has none",
    ]


def test_a_route_to_a_port_nobody_names_proposes_the_nearest(judge: Any) -> None:
    (problem,) = judge.problems("route-port", SHOP, routes("web:3001", "web:3000", "db:5432", "gone:1"))
    assert problem.summary == "nothing says that web listens on 3001"
    assert (problem.evidence, problem.hint) == (("its files name 3000",), "did you mean `web:3000`?")


@pytest.mark.parametrize(
    "service",
    [
        "image: 'x:1', ports: ['80:8000']",
        "image: 'x:1', expose: ['8000/tcp']",
        "image: 'x:1', environment: {PORT: 8000}",
        "image: 'x:1', command: uvicorn main:app --port 8000",
        "image: 'x:1', command: 'gunicorn main --bind 0.0.0.0:8000'",
        "image: 'x:1', healthcheck: {test: 'curl -f http://127.0.0.1:8000/health'}",
        "image: 'known:1'",
    ],
)
def test_a_port_is_known_from_wherever_the_files_tell_it(judge: Any, service: str) -> None:
    image = ObservedImage(reference="known:1", id="i", exposed=(8000,))
    observed = Observed(instance="shop", images=(image,))
    text = f"services: {{web: {{{service}}}}}"
    assert judge.lines("route-port", text, routes("web:8000"), observed=observed) == []
    assert len(judge.lines("route-port", text, routes("web:8001"), observed=observed)) == 1


def test_a_port_nobody_tells_is_not_judged(judge: Any) -> None:
    text = "services: {web: {image: 'x:1', expose: ['7/udp'], ports: ['5:5/udp'], environment: {PORT: '$$X', A: 1}}}"
    assert judge.lines("route-port", text, routes("web:8001")) == []


def test_a_route_to_nothing_is_refused(judge: Any) -> None:
    text = SHOP + "  off: {image: 'x:1', deploy: {replicas: 0}}\n"
    found = judge.problems("route-dead", text, routes("seed:1", "worker:1", "off:1", "web:3000", "gone:1"))
    assert [one.summary for one in found] == [
        "a.org/0 leads to nothing: seed is a job: it runs once per release and then ends",
        "a.org/1 leads to nothing: worker has `network_mode: none`",
        "a.org/2 leads to nothing: off has 0 replicas",
    ]


def test_verifications_go_through_routes(judge: Any) -> None:
    verify = "release: {verify: [{get: /, host: b.org}, {get: /, host: x.w.org}, {get: /}, {get: /, host: a.or}]}"
    manifest = f"app: shop\nroutes: [{{host: a.org, to: 'web:3000'}}, {{host: '*.w.org', to: 'web:3000'}}]\n{verify}"
    found = judge.problems("verify-host", SHOP, manifest)
    assert [(one.summary, one.hint) for one in found] == [
        ("no route answers for b.org", "did you mean `a.org`?"),
        ("no route answers for a.or", "did you mean `a.org`?"),
    ]
    far = judge.problems("verify-host", SHOP, manifest.replace("b.org", "elsewhere.example.com"))
    assert far[0].hint == "the hosts are *.w.org, a.org"
    assert len(judge.lines("verify-host", SHOP, f"app: shop\n{verify}")) == 4


@pytest.mark.parametrize(
    ("tls", "count"), [("", 1), ("tls: acme", 1), ("tls: self-signed", 0), ("tls: {dns_hook: ./hook}", 0)]
)
def test_a_wildcard_needs_a_way_to_its_certificate(judge: Any, tls: str, count: int) -> None:
    manifest = (
        f"app: shop\nroutes: [{{host: '*.a.org', to: 'web:3000'}}, {{host: '*.localhost', to: 'web:3000'}}]\n{tls}"
    )
    assert len(judge.lines("route-wildcard", SHOP, manifest)) == count


def test_a_web_service_nothing_leads_to_is_noted(judge: Any) -> None:
    (problem,) = judge.problems("route-none", SHOP)
    assert (problem.subject, problem.severity) == ("web", Severity.NOTE)
    assert judge.lines("route-none", SHOP, routes("web:3000")) == []
    assert judge.lines("route-none", "services: {w: {image: 'nginx:1', ports: ['80:80']}}") == []
    assert len(judge.lines("route-none", "services: {w: {image: 'nginx:1'}}")) == 1
    assert judge.lines("route-none", "services: {w: {image: 'prom/prometheus:1'}, x: {image: 'x:1'}}") == []


def test_unbounded_logs_are_warned_about(judge: Any) -> None:
    text = """\
services:
  a: {image: 'x:1'}
  b: {image: 'x:1', logging: {driver: json-file}}
  c: {image: 'x:1', logging: {driver: json-file, options: {max-size: 1m}}}
  d: {image: 'x:1', logging: {driver: journald}}
"""
    assert [one.subject for one in judge.problems("log-rotation", text)] == ["a", "b"]


def test_services_that_nothing_starts_again_are_warned_about(judge: Any) -> None:
    text = SHOP + "  ok: {image: 'x:1', restart: unless-stopped}\n"
    assert [one.subject for one in judge.problems("restart-policy", text)] == ["web", "db", "worker"]


@pytest.mark.parametrize(
    ("image", "fixed"),
    [
        ("nginx", False), ("nginx:latest", False), ("localhost:5000/nginx", False), ("nginx:1.27", True),
        ("localhost:5000/nginx:1", True), ("nginx@sha256:" + "0" * 64, True),
    ],
)  # fmt: skip
def test_an_image_without_a_version_is_warned_about(judge: Any, image: str, fixed: bool) -> None:
    found = judge.lines("image-latest", f"services: {{a: {{image: '{image}'}}, b: {{build: ., image: 'b:latest'}}}}")
    assert (found == []) is fixed


def test_image_references_are_taken_apart() -> None:
    assert image_tag("a.org:5000/x/y:1") == ("a.org:5000/x/y", "1")
    assert image_tag("x:1@sha256:f") == ("x", "sha256:f")
    assert image_tag("x@sha256:f") == ("x", "sha256:f")
    assert image_name("docker.io/bitnami/PostgreSQL:16") == "postgresql"


LATEST = "services: {a: {image: nginx}, b: {image: redis}}"


def test_a_waiver_sets_a_check_aside_for_one_subject(judge: Any) -> None:
    manifest = "app: shop\nwaivers: [{check: image-latest, reason: lab only, subject: a, until: 2026-11-20}]"
    report = judge(LATEST, manifest)
    assert [one.subject for one in report.problems if one.code == "image-latest"] == ["b"]
    (waived,) = report.waived
    assert str(waived) == (
        "image-latest waived (until 2026-11-20): lab only\n"
        "    compose.yaml:1:16: a: its image has no version: every pull may bring another one"
    )
    assert report.problems[-1] not in report.errors
    assert "1 waived" in str(report)


def test_a_waiver_without_end_and_subject_covers_all(judge: Any) -> None:
    report = judge(LATEST, "app: shop\nwaivers: [{check: image-latest, reason: lab only}]")
    assert [one.problem.subject for one in report.waived] == ["a", "b"]
    assert str(report.waived[0]).startswith("image-latest waived: lab only")


def test_a_waiver_that_ended_waives_nothing_and_is_told(judge: Any) -> None:
    manifest = "app: shop\nwaivers: [{check: image-latest, reason: lab only, until: 2026-11-19}]"
    codes = [one.code for one in judge(LATEST, manifest).problems]
    assert codes.count("image-latest") == 2
    assert "waiver-expired" in codes


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("image-lates", "did you mean `image-latest`?"),
        ("zzz", "`havre check --list` and `havre checklist --list` show the ids"),
    ],
)
def test_a_waiver_of_a_check_that_does_not_exist_is_told(judge: Any, name: str, hint: str) -> None:
    report = judge(LATEST, f"app: shop\nwaivers: [{{check: {name}, reason: x}}]")
    (problem,) = [one for one in report.problems if one.code == "waiver-unknown"]
    assert problem.hint == hint


def finding(text: str, **rest: Any) -> Check:
    problems = (Problem(summary=text, hint="h", **rest),) * 2
    return Check(id=f"x-{text}", severity=Severity.WARNING, title="t", doc="d", find=lambda _case: problems)


def test_problems_are_sorted_counted_and_never_told_twice() -> None:
    checks = (finding("b"), finding("note", severity=Severity.NOTE), finding("a"))
    report = run_checks(Case(app=App(name="x"), project=Project(name="x")), checks, today="2026-11-20")
    assert str(report) == (
        "warning[x-a] a\n  hint: h\nwarning[x-b] b\n  hint: h\nnote[x-note] note\n  hint: h\n"
        "3 checks: 0 errors, 3 warnings"
    )
    assert report.errors == ()
    assert report.warnings == report.problems


def test_every_check_has_its_own_id_a_title_and_a_page() -> None:
    ids = [check.id for check in ALL]
    assert len(ids) == len(set(ids))
    assert all(check.title and check.doc.endswith(".") for check in ALL)
    assert sum(len(family) for _, family in FAMILIES) == len(ALL)
    assert check_called("port-taken") in ALL
    assert check_called("nothing") is None


def test_every_problem_has_a_next_step_and_an_effect_or_evidence(judge: Any) -> None:
    report = judge(
        "services: {db: {image: postgres, ports: ['5432:5432']}, web: {image: nginx, healthcheck: {test: 'true'}}}"
    )
    assert len(report.problems) > 8
    assert all(problem.hint and problem.code for problem in report.problems)


def test_facts_can_be_looked_up_by_name() -> None:
    case = Case(app=App(name="x"), project=Project(name="x"), variables=(VariableFact(name="A", value="topsecret"),))
    assert case.place("services.a") is None
    assert case.uses("services.a") == ()
    assert case.files.at("/x") is None
    assert "topsecret" not in repr(case)
    assert PathFact(path="/x", kind="file").similar == ()


def test_the_example_raises_nothing() -> None:
    """Zero false alarms on the application we ship, with real values in its env file."""
    secret_lines = dict.fromkeys(("POSTGRES_PASSWORD", "REDIS_PASSWORD", "JWT_SECRET", "API_KEY_SECRET"), "4f1c9a" * 10)
    app = load_app(EXAMPLE)
    request = LoadRequest(
        files=tuple(str(EXAMPLE / name) for name in app.compose),
        working_dir=str(EXAMPLE),
        env_files=(str(EXAMPLE / ".env.prod.example"),),
        environment=secret_lines,
        project_name=app.instance,
    )
    loaded = load_project(request)
    report = run_checks(Case.of(app, lower(loaded, instance=app.instance), loaded), ALL, today="2026-11-20")
    assert str(report) == f"{len(ALL)} checks: 0 errors, 0 warnings"


def test_addresses_that_nothing_is_sent_to_are_told(judge: Any) -> None:
    manifest = "app: shop\nnotify: [https://hooks.example.org/x]\n"
    (found,) = judge.problems("notify-unheard", "services: {web: {image: 'nginx:1'}}", manifest)
    assert (str(found.at), found.severity.value) == ("havre.yaml:2:1", "warning")
    assert "hooks.example.org" not in str(found), "such an address is a secret"
